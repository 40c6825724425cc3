#include <strata/error.hpp>

#include "base/resources.hpp"
#include "store/images.hpp"
#include "store/kept_blob.hpp"
#include "store/operations.hpp"
#include "store/stages.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace strata {

bool ImageVerifyResult::ok() const noexcept {
  return record.empty() && blobs.empty() && std::ranges::all_of(layers, &VerifyResult::ok);
}

namespace detail {

namespace {

/// As verify_layer(), but also of what can't be read at all.
VerifyResult look_at(const StoreCore& core, const Digest& layer, const VerifyOptions& options) {
  try {
    return verify_layer(core, layer, options);
  } catch (const Error& error) {
    if (error.code() == errc::cancelled || is_shortage(error.code())) throw;
    return {.id = layer, .damages = {{.kind = Damage::Kind::record, .path = {}, .what = error.what()}}};
  }
}

/// What images share is looked at once.
class ImageCheck {
 public:
  ImageCheck(const StoreCore& core, const VerifyOptions& options)
      : core_(core), level_(options.level), stages_(options.control) {}

  /// nullopt: it isn't there, or was removed meanwhile, and its layers with it.
  std::optional<ImageVerifyResult> check(const Digest& image) {
    auto fault = fault_of_image(core_, image);
    if (!fault) return std::nullopt;
    ImageVerifyResult result{.image = image, .record = *std::move(fault)};
    try {
      if (const auto record = find_image_record(core_, image)) check(*record, result);
    } catch (const Error& error) {
      // What is damaged is said by now. What can't be looked at can't be said to be right.
      if (error.code() == errc::cancelled || is_shortage(error.code())) throw;
      if (result.record.empty()) result.record = error.what();
    }
    if (!result.ok() && !try_stat(core_.root_descriptor(), image_path(image))) return std::nullopt;
    return result;
  }

 private:
  void check(const ImageRecord& record, ImageVerifyResult& result) {
    std::vector<Descriptor> blobs;
    std::vector<Digest> layers;
    if (result.record.empty()) {
      blobs = ImageManifest::parse(image_manifest(core_, record)).layers;
      layers = chain_ids(ImageConfig::parse(image_config(core_, record)).diff_ids);
    } else if (const auto top = core_.find_undamaged(record.layer)) {
      layers = chain_ids(top->diff_ids);
    }
    for (const Digest& layer : layers) {
      auto& known = layers_[layer];
      if (!known) known = look_at(core_, layer, {.level = level_, .control = stages_.next()});
      result.layers.push_back(*known);
    }
    std::set<Digest> seen;
    for (const Descriptor& blob : blobs) {
      if (!seen.insert(blob.digest).second) continue;
      auto& known = blobs_[{blob.digest, blob.size}];
      if (!known) known = check_kept_blob(core_, blob, {.level = level_, .control = stages_.next()}).what;
      if (!known->empty()) result.blobs.push_back({blob.digest, *known});
    }
  }

  const StoreCore& core_;
  const VerifyLevel level_;
  const Stages stages_;
  std::map<Digest, std::optional<VerifyResult>> layers_;
  std::map<std::pair<Digest, std::uint64_t>, std::optional<std::string>> blobs_;  ///< by what a manifest says of them
};

}  // namespace

std::vector<ImageVerifyResult> verify_images(const StoreCore& core, std::span<const Digest> images,
                                             const VerifyOptions& options) {
  ImageCheck check(core, options);
  std::vector<ImageVerifyResult> results;
  for (const Digest& image : images)
    if (auto result = check.check(image)) results.push_back(*std::move(result));
  return results;
}

}  // namespace detail
}  // namespace strata
