#include "transport/image_plan.hpp"

#include <strata/error.hpp>

#include <cstdint>
#include <set>
#include <utility>

namespace strata::detail {

namespace {

constexpr int most_levels = 8;  // of indexes in indexes
constexpr std::uint64_t most_bytes = 256U << 20;

class Planner {
 public:
  Planner(AnySource& from, const std::stop_token& stop) : from_(from), stop_(stop) {}

  ImagePlan plan(Document top) {
    follow(top, 0);
    plan_.top = std::move(top);
    return std::move(plan_);
  }

 private:
  void follow(const Document& document, int level) {
    if (level > most_levels)
      throw_error(errc::limit_exceeded, "copy", from_.name(),
                  "its indexes are nested deeper than " + std::to_string(most_levels) + " levels");
    if (is_index(document.media_type)) {
      for (const Descriptor& one : ImageIndex::parse(document).manifests) add(one, level);
      return;
    }
    const ImageManifest manifest = ImageManifest::parse(document);
    for (const Descriptor& layer : manifest.layers) add_blob(layer);
    // A config that is larger than a document may be is that of an artifact.
    if (manifest.config.size > Document::max_size)
      add_blob(manifest.config);
    else if (is_new(manifest.config))
      keep(from_.document(manifest.config, stop_));
  }

  void add(const Descriptor& one, int level) {
    if (!is_index(one.media_type) && !is_manifest(one.media_type)) return add_blob(one);
    if (!is_new(one)) return;
    Document document = from_.document(one, stop_);
    follow(document, level + 1);
    keep(std::move(document));
  }

  void add_blob(const Descriptor& blob) {
    if (is_new(blob)) plan_.blobs.push_back(blob);
  }

  bool is_new(const Descriptor& one) { return seen_.insert(one.digest).second; }

  void keep(Document document) {
    bytes_ += document.bytes.size();
    if (bytes_ > most_bytes)
      throw_error(errc::limit_exceeded, "copy", from_.name(),
                  "its documents are larger than " + std::to_string(most_bytes) + " bytes");
    plan_.documents.push_back(std::move(document));
  }

  AnySource& from_;
  const std::stop_token& stop_;
  ImagePlan plan_;
  std::set<Digest> seen_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

Document chosen_top(AnySource& from, const std::optional<Platform>& platform, const std::stop_token& stop) {
  Document top = from.top(stop);
  for (int level = 0; platform && is_index(top.media_type) && level < most_levels; ++level)
    top = from.document(ImageIndex::parse(top).choose(*platform), stop);
  return top;
}

ImagePlan plan_image(AnySource& from, Document top, const std::stop_token& stop) {
  return Planner(from, stop).plan(std::move(top));
}

}  // namespace strata::detail
