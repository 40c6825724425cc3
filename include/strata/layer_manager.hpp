// LayerManager: store, mounter, where images come from, and a cache policy, as one: pull an image, mount it, commit
// what changed as a new one, push that.
//
//   strata::LayerStore<> store{"/var/lib/strata"};
//   strata::LayerManager<> manager{store};
//   manager.pull("docker://debian:12");
//   {
//     auto root = manager.prepare("debian:12", "web");
//     ...
//   }
//   manager.commit("web", {.name = "registry.example/web:1"});
//   manager.push("registry.example/web:1", "docker://registry.example/web:1");
#pragma once

#include <strata/any_mounter.hpp>
#include <strata/cache_policy.hpp>
#include <strata/export.hpp>
#include <strata/gc.hpp>
#include <strata/image.hpp>
#include <strata/image_store.hpp>
#include <strata/layer_source.hpp>
#include <strata/layer_store.hpp>
#include <strata/lease.hpp>
#include <strata/mounter.hpp>
#include <strata/transport/names.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

/// Where the images of a manager come from, by name. `o.open(name)` returns a LayerSource.
template <typename O>
concept SourceOpener = requires(const O& o, std::string_view name) {
  { o.open(name) } -> LayerSource;
};

/// Opens names as transport/names.hpp reads them.
struct Transports {
  TransportOptions options = {};
  AnySource open(std::string_view name) const { return open_source(ImageName::parse(name), options); }
};

struct PullOptions {
  enum class When { always, missing, never };  ///< podman's names; `missing`: not where an image of the name is there
  When when = When::always;
  std::string name = {};  ///< of the image in the store; empty: the reference, or what the transport calls it
  std::optional<Platform> platform = {};  ///< unset: the host's
  /// Keep the blobs as they come, so that the image can be pushed byte for byte, resumed by others, and repaired. Takes
  /// their size on the disk (of gzip some third of the files'), written beside the files.
  bool keep_blobs = true;
  unsigned transfers = 4;  ///< at the same time
  /// Most bytes of blobs that an image may be transferred for, errc::limit_exceeded before any is; unset: as many as
  /// the filesystem has room for. What a manifest says of a blob's size is a limit of its own.
  std::optional<std::uint64_t> max_bytes = {};
  Conformance conformance = Conformance::compat;
  Owners owners = Owners::keep;
  Budget budget = {};  ///< for each layer
  ImageControl control = {};
};

struct PrepareOptions {
  PullOptions pull = {.when = PullOptions::When::missing};
  MountOptions mount = {};
};

struct CommitImageOptions {
  std::string name = {};
  std::string author = {};
  std::string comment = {};
  std::string created_by = {};
  std::string created = {};  ///< RFC 3339; empty: now, or SOURCE_DATE_EPOCH where that is set
  /// Changes the config that the image begins with, which is that of the container's image; of a container on a layer
  /// of no image, an empty one.
  std::function<void(ImageConfig&)> change = {};
  Control control = {};
};

struct PushOptions {
  /// What layers are compressed by that leave the store as plain tars because it made them itself.
  enum class Compress { none, gzip, zstd };
  Compress compress = Compress::gzip;
  /// The same for layers that were pulled and whose blobs weren't kept, which are errc::not_found otherwise, where the
  /// sink hasn't them. The image gets another manifest by that, and so another digest, than it came with; its config
  /// stays.
  bool recompress = false;
  unsigned transfers = 4;
  ImageControl control = {};
};

struct ImageRepairOptions {
  AnySource* source = nullptr;   ///< read only where something is taken from it; unset: the store must do
  Owners owners = Owners::keep;  ///< as of RepairOptions
  Budget budget = {};            ///< for each layer that is gone
  Control control = {};
};

struct ImageRepairResult {
  Digest image;
  bool recorded = false;                              ///< its record was bad, and was made anew
  std::string record = {};                            ///< why that could not be; empty: there was no need, or it was
  std::vector<RepairResult> layers = {};              ///< base first
  std::vector<Digest> replaced = {};                  ///< kept blobs that were bad, and are right now
  std::vector<ImageVerifyResult::Blob> removed = {};  ///< that were bad, and aren't kept any more
  std::vector<ImageVerifyResult::Blob> left = {};     ///< that are bad still, or can't be read, and why
  STRATA_API bool ok() const noexcept;
};

struct PruneOptions {
  bool all = false;  ///< also images that have a name, but no container
  bool dry_run = false;
  std::chrono::seconds min_age = std::chrono::hours(1);  ///< of the last use of an image, and as of GcOptions
  Control control = {};
};

struct PruneResult {
  std::vector<Image> images;
  GcResult rest;
};

namespace detail {
/// A mounter without its type, for compiled code.
struct MounterPolicy {
  std::function<MountedRoot(const Digest&, std::string_view, const MountOptions&)> mount;
  std::function<void(std::string_view)> unmount;
  std::function<void(std::string_view)> remove;
};
/// A cache policy without its type; empty: it keeps everything.
using EvictPolicy = std::function<std::vector<Digest>(std::span<const CachedImage>, std::uint64_t, std::uint64_t)>;
}  // namespace detail

class ImageBuilder;

/// The compiled part of LayerManager; hosts name LayerManager. Thread safe, and safe beside other processes on the same
/// store: a blob that several pull at a time crosses the network once.
class STRATA_API LayerManagerBase {
 public:
  /// Pulls an image from a source of the host's own. `name`: of the image in the store; may be empty.
  ///
  /// Layers are fetched beside each other and stored while they arrive; their digests, and the diff ids that the config
  /// names, are proven before anything of them is there. What breaks off, by an error, a cancellation or a crash,
  /// leaves the layers that are complete, and the bytes of the others in downloads/, from which the next pull goes on;
  /// gc() removes these an hour later. Neither is an image.
  Image pull(AnySource source, const std::string& name, const PullOptions& options = {});

  /// Commits a container's changes as a layer, and an image of it: the image that it stands on, one layer more. The
  /// container stays as it is. The new layer is named by its diff id, uncompressed; push() compresses it.
  Image commit(std::string_view container, const CommitImageOptions& options = {});

  /// Writes an image to a sink. Its digest stays what it is, but for layers that this store made (and with
  /// `recompress`, those without their blobs), which are compressed as the options say; the same image gives the same
  /// bytes each time. Returns the manifest as it was written.
  Document push(std::string_view image, AnySink sink, const PushOptions& options = {}) const;

  /// Mends what ImageStore::verify() finds, of what the store has: records, other trees, kept blobs; and of `source`
  /// whatever else it takes, a layer that is gone too. The source need not have the image, only its blobs. A kept blob
  /// whose digest is wrong is replaced, or removed where there is no source, or one that has the same wrong bytes.
  /// Throws errc::damaged where the manifest or config is bad: pull() makes these again; errc::cancelled; and what
  /// keeps the source from answering, a network that is down say. Each thing that is mended is whole or as it was,
  /// after a crash too.
  ImageRepairResult repair(const Digest& image, const ImageRepairOptions& options = {});

  ImageStore images() const;
  /// Removes images that nothing needs: those without a name, and with `all` those that no container stands on; then
  /// does what LayerStore::gc() does.
  PruneResult prune(const PruneOptions& options = {});
  /// Removes what the cache policy doesn't keep. pull(), prepare() and commit() do this by themselves.
  std::vector<Digest> trim(std::uint64_t wanted = 0);

 protected:
  LayerManagerBase(LayerStoreBase& store, detail::MounterPolicy mounter, detail::EvictPolicy cache);
  /// By the name of an image, else of a layer; pulls by `open` where there is none.
  MountedRoot prepare_by(std::string_view what, std::string_view container, const PrepareOptions& options,
                         const std::function<AnySource(std::string_view)>& open);
  Image pull_by(std::string_view name, const PullOptions& options,
                const std::function<AnySource(std::string_view)>& open);

  LayerStoreBase& store_;

 private:
  Image pull_leased(AnySource& source, const std::string& name, const PullOptions& options, const Lease& lease);
  std::optional<Image> there(std::string_view name, const PullOptions& options, const Lease& lease) const;
  Image pull_named(std::string_view name, const PullOptions& options,
                   const std::function<AnySource(std::string_view)>& open, const Lease& lease);

  friend class ImageBuilder;
  detail::MounterPolicy mounter_;
  detail::EvictPolicy cache_;
};

/// The store, which outlives the manager, and the policies that belong to it.
template <class Store = LayerStore<>, class Mounter = AnyMounter, SourceOpener Sources = Transports>
class LayerManager : public LayerManagerBase {
 public:
  explicit LayerManager(Store& store) : LayerManager(store, Mounter(store)) {}
  template <CachePolicy Cache = KeepAll>
  LayerManager(Store& store, Mounter mounter, Sources sources = {}, Cache cache = {})
      : LayerManagerBase(store, policy_of(std::make_shared<Mounter>(std::move(mounter))), policy_of(std::move(cache))),
        sources_(std::move(sources)) {}

  using LayerManagerBase::pull;
  /// Pulls an image by name.
  Image pull(std::string_view name, const PullOptions& options = {}) { return pull_by(name, options, opener()); }
  /// Mounts an image (by name, digest or reference), or a layer (by tag or id), as container `container`, and pulls the
  /// image first where it isn't there: nothing is asked of the network where it is.
  MountedRoot prepare(std::string_view image, std::string_view container, const PrepareOptions& options = {}) {
    return prepare_by(image, container, options, opener());
  }
  using LayerManagerBase::push;
  /// Pushes an image to a name of transport/names.hpp.
  Document push(std::string_view image, std::string_view to, const PushOptions& options = {},
                const TransportOptions& transport = {}) const {
    (void)images().get(image);  // before a sink makes anything
    return LayerManagerBase::push(image, open_sink(ImageName::parse(to), transport), options);
  }

 private:
  static detail::MounterPolicy policy_of(const std::shared_ptr<Mounter>& mounter) {
    return {[mounter](const Digest& layer, std::string_view name, const MountOptions& options) {
              return mounter->mount(layer, name, options);
            },
            [mounter](std::string_view name) { mounter->unmount(name); },
            [mounter](std::string_view name) { mounter->remove(name); }};
  }
  /// None, where there is nothing to measure.
  template <class Cache>
  static detail::EvictPolicy policy_of(Cache cache) {
    if constexpr (std::same_as<Cache, KeepAll>)
      return {};
    else
      return [cache](auto images, auto bytes, auto wanted) { return cache.evict(images, bytes, wanted); };
  }
  std::function<AnySource(std::string_view)> opener() const {
    return [this](std::string_view name) {
      if constexpr (std::same_as<decltype(sources_.open(name)), AnySource>)
        return sources_.open(name);
      else
        return AnySource(sources_.open(name));
    };
  }

  Sources sources_;
};

}  // namespace strata
