// Images in a store: manifests and configs on top of its layers, and names for them. A name of an image is a tag
// (tag.hpp) of its topmost layer, so it stands wherever a layer is asked for.
//
//   strata::ImageStore images{store};
//   const auto image = images.get("debian:12");
//   auto root = mounter.mount(image.layer, "web-1");
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>
#include <strata/image.hpp>
#include <strata/layer_source.hpp>
#include <strata/layer_store.hpp>
#include <strata/verify.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

/// An image of a store. docs/format.md has it as images/ALGORITHM/HEX.
struct Image {
  Digest digest = {};  ///< of its manifest: its name in the store
  Digest layer = {};   ///< chain id of the topmost layer
  Document manifest = {};
  Document config = {};
  std::optional<Digest> index = {};     ///< that it was chosen from
  bool made = false;                    ///< by this store, so that its layers may be compressed when it leaves
  std::string added = {};               ///< RFC 3339, UTC
  std::string used = {};                ///< when it was pulled, prepared or committed last; RFC 3339, UTC, to the
                                        ///< nanosecond: such texts are in the order of their times
  std::vector<std::string> names = {};  ///< sorted
};

/// What ImageStore::add takes.
struct NewImage {
  Document manifest;
  Document config;
  std::optional<Digest> index = {};
  bool made = false;
  std::string name = {};  ///< empty: none, and gc() removes the image when it is old enough
};

/// A view of a store, as cheap as a pointer. Thread safe, and safe beside other processes.
class STRATA_API ImageStore {
 public:
  explicit ImageStore(const LayerStoreBase& store);

  /// Records an image, whose layers are stored: errc::not_found names the first that isn't. One that is there already
  /// gets the name. After a crash: it is there, named, or as it was before.
  Image add(const NewImage& image) const;
  /// By the digest of its manifest; by its name, as a tag or as people write references ("debian" is
  /// docker.io/library/debian:latest); by the digest of its config, or the first hexadecimal digits of either (at least
  /// 12). A reference with a digest finds but the image of that, or one of the index of that. Throws errc::bad_argument
  /// where several begin so, and errc::damaged.
  std::optional<Image> find(std::string_view name) const;
  /// The same, and only the digest of its manifest: nothing of the image is read, so it may be damaged.
  std::optional<Digest> resolve(std::string_view name) const;
  /// The same, but absence is errc::not_found.
  Image get(std::string_view name) const;
  /// By their first name, those without one last, and without those that are damaged.
  std::vector<Image> list() const;

  /// Looks at all that the image is: its documents, its layers as LayerStore::verify() does, and the blobs of them that
  /// are kept (their sizes, and but for VerifyLevel::quick their digests). Throws errc::not_found, errc::cancelled, and
  /// what this process lacks (descriptors, memory).
  ImageVerifyResult verify(const Digest& image, const VerifyOptions& options = {}) const;
  /// The same of several, but for those that aren't there any more; what they share is looked at once.
  std::vector<ImageVerifyResult> verify(std::span<const Digest> images, const VerifyOptions& options = {}) const;
  /// The digests of all images, sorted, with those that are damaged.
  std::vector<Digest> digests() const;
  /// The names of an image, sorted, also of one that is damaged.
  std::vector<std::string> names(const Digest& image) const;

  /// Gives it a name more; one of this name loses it.
  void tag(const Digest& image, std::string_view name) const;
  /// Notes that it is used now.
  void touch(const Digest& image) const;
  /// Takes the image out of the store, with all its names and with the layers and kept blobs that only it needs. Those
  /// of its layers that containers, leases, other images, tags or layers need stay; while a container stands on its
  /// topmost layer, which is no other image's too, errc::in_use unless `force`. Returns the layers that were removed.
  /// Of one whose record is damaged, the record goes, and gc() finds the rest. After a crash, and after an error with
  /// which the image is gone: perhaps but for names, blobs and layers, which gc() removes.
  std::vector<Digest> remove(const Digest& image, bool force = false) const;

 private:
  std::shared_ptr<detail::StoreCore> core_;
};

/// An image of a store as a source: kept blobs as they came, and layers without one, where the manifest names them by
/// their diff ids, as plain tars. errc::not_found, naming the remedy, for a blob that was compressed and isn't kept.
class STRATA_API StoreSource {
 public:
  static constexpr bool local = true;

  StoreSource(const LayerStoreBase& store, Image image);

  std::string name() const;
  Document top(const std::stop_token& stop);
  Document document(const Descriptor& descriptor, const std::stop_token& stop);
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset, const std::stop_token& stop);

 private:
  std::shared_ptr<detail::StoreCore> core_;
  Image image_;
};

static_assert(LayerSource<StoreSource>);

}  // namespace strata
