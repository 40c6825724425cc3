#include "manager/cache_usage.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/image_record.hpp"
#include "store/roots.hpp"
#include "store/tag.hpp"
#include "store/usage.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

namespace strata::detail {

namespace {

constexpr const char* note = "usage";

std::uint64_t usage_of(const StoreCore& core, const std::string& path) {
  Usage usage;
  usage.add(core.root_descriptor(), path);
  return usage.exclusive_bytes() + usage.shared_bytes();
}

std::uint64_t usage_of_tree(const StoreCore& core, const Digest& key) {
  const FileDescriptor tree = try_open_beneath(core.root_descriptor(), core.tree_path(key), O_RDONLY | O_DIRECTORY);
  if (!tree) return 0;
  std::uint64_t bytes = 0;
  if (const auto text = read_note(tree.get(), note)) {
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), bytes);
    if (error == std::errc() && end == text->data() + text->size()) return bytes;
  }
  bytes = usage_of(core, core.tree_path(key));
  try {
    write_note(tree.get(), note, std::to_string(bytes));
  } catch (const Error&) {
    // Somebody else has noted it, or it can't be: then it is walked each time.
  }
  return bytes;
}

/// Things that others refer to, with what each takes.
class Ledger {
 public:
  explicit Ledger(const StoreCore& core) : core_(core) {
    std::vector<Digest> unreadable;
    for (Layer& layer : core.list()) layers_.emplace(layer.id, std::move(layer));
    images_ = image_records(core, unreadable);
    for (const auto& [id, layer] : layers_) {
      bytes_ += sizes_[id] = usage_of(core, core.layer_path(id));
      if (layer.parent) ++layer_uses_[*layer.parent];
      ++tree_uses_[layer.tree()];
      ++blob_uses_[layer.blob];
    }
    for (const ImageRecord& image : images_) {
      ++layer_uses_[image.layer];
      for (const Digest& blob : std::set<Digest>(image.blobs.begin(), image.blobs.end())) ++blob_uses_[blob];
    }
    for (const Digest& key : core.names_in("trees")) bytes_ += trees_[key] = usage_of_tree(core, key);
    for (const Digest& blob : core.names_in("blobs")) bytes_ += blobs_[blob] = usage_of(core, core.blob_path(blob));
    for (const char* room : {"downloads", "staging", "tags", "leases"}) bytes_ += usage_of(core, room);
    Usage translated;  // most of it are further names of the trees' files
    translated.add(core.root_descriptor(), "translated");
    bytes_ += translated.exclusive_bytes();
    add_roots();
  }

  CacheState state() {
    CacheState state;
    for (const ImageRecord& record : images_) {
      const auto used = image_used(core_, record.digest);
      if (!used) continue;
      CachedImage image{
          .image = record.digest, .names = {}, .used = *used, .bytes = 0, .needed = needed_.contains(record.layer)};
      image.names = names_of(record.digest, tags_);
      image.bytes = usage_of(core_, image_path(record.digest));
      bytes_ += image.bytes;
      state.images.push_back(std::move(image));
    }
    std::ranges::sort(state.images, {}, [](const CachedImage& image) { return std::pair(image.used, image.image); });
    for (CachedImage& image : state.images)
      if (!image.needed) image.bytes += free_image(image.image);
    state.bytes = bytes_;
    return state;
  }

 private:
  void add_roots() {
    for (const Root& root : users_of(core_)) {
      ++layer_uses_[root.layer];
      for (auto layer = layers_.find(root.layer); layer != layers_.end() && needed_.insert(layer->first).second;)
        layer = layer->second.parent ? layers_.find(*layer->second.parent) : layers_.end();
    }
    tags_ = tag_records(core_);
    for (const TagRecord& tag : tags_)
      if (!tag.image) ++layer_uses_[tag.layer];
  }

  std::uint64_t free_blob(const Digest& blob) {
    const auto kept = blobs_.find(blob);
    return --blob_uses_[blob] == 0 && kept != blobs_.end() ? kept->second : 0;
  }

  /// As remove_image() does it.
  std::uint64_t free_image(const Digest& id) {
    const ImageRecord& image = *std::ranges::find(images_, id, &ImageRecord::digest);
    std::uint64_t bytes = 0;
    for (const Digest& blob : std::set<Digest>(image.blobs.begin(), image.blobs.end())) bytes += free_blob(blob);
    for (std::optional<Digest> layer = image.layer; layer && --layer_uses_[*layer] == 0;) {
      const auto found = layers_.find(*layer);
      if (found == layers_.end()) break;
      bytes += sizes_[*layer] + free_blob(found->second.blob);
      if (--tree_uses_[found->second.tree()] == 0) bytes += trees_[found->second.tree()];
      layer = found->second.parent;
    }
    return bytes;
  }

  const StoreCore& core_;
  std::map<Digest, Layer> layers_;
  std::vector<ImageRecord> images_;
  std::vector<TagRecord> tags_;
  std::map<Digest, std::uint64_t> sizes_, trees_, blobs_;
  std::map<Digest, int> layer_uses_, tree_uses_, blob_uses_;
  std::set<Digest> needed_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

CacheState measure_cache(const StoreCore& core) { return Ledger(core).state(); }

}  // namespace strata::detail
