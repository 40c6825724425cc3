#include <strata/layer_manager.hpp>

#include <strata/error.hpp>

#include "manager/cache_usage.hpp"
#include "manager/pull.hpp"
#include "store/operations.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace strata {

namespace {

/// What an image that is pulled by this name is called in the store; empty: nothing.
std::string name_in_store(std::string_view name, const PullOptions& options) {
  if (!options.name.empty()) return options.name;
  try {
    const ImageName parsed = ImageName::parse(name);
    if (parsed.transport == ImageName::Transport::docker) return ImageReference::parse(parsed.image).to_string();
    // What an archive of docker's calls it, is a reference too.
    if (parsed.transport == ImageName::Transport::docker_archive && !parsed.image.starts_with('@'))
      return parsed.image.empty() ? "" : ImageReference::parse(parsed.image).to_string();
    // What a layout calls it, the layout says.
    return parsed.transport == ImageName::Transport::strata && is_tag_name(parsed.image) ? parsed.image : "";
  } catch (const Error& error) {
    if (error.code() != errc::bad_argument) throw;  // a name that only the host's own sources understand
    return is_tag_name(name) ? std::string(name) : "";
  }
}

/// What the place that an image comes from calls it: in full, so that nothing that was loaded answers for another
/// reference, or for a digest. Empty: nothing that could be.
std::string called_by(const AnySource& source) {
  const std::string name = source.image_name();
  try {
    const ImageReference reference = ImageReference::parse(name);
    return reference.digest ? "" : reference.to_string();
  } catch (const Error& error) {
    if (error.code() != errc::bad_argument) throw;
    return name.starts_with("localhost/") && is_tag_name(name) ? name
                                                               : "";  // a directory's name may be no repository's
  }
}

/// Whether it names a place, and what is there is to be looked for there.
bool names_path(std::string_view name) {
  try {
    return ImageName::parse(name).transport != ImageName::Transport::docker;
  } catch (const Error& error) {
    if (error.code() != errc::bad_argument) throw;
    return false;
  }
}

/// Whether an image is one for the platform that is asked for.
bool is_for(const Image& image, const std::optional<Platform>& platform) {
  if (!platform) return true;
  ImageIndex index;
  index.manifests = {image.manifest.descriptor()};
  index.manifests.front().platform = ImageConfig::parse(image.config).platform;
  try {
    (void)index.choose(*platform);
    return true;
  } catch (const Error& error) {
    if (error.code() != errc::not_found) throw;
    return false;
  }
}

/// What names no layer is the name of an image.
std::optional<Digest> layer_of(const LayerStoreBase& store, std::string_view name) {
  try {
    return store.resolve(name);
  } catch (const Error& error) {
    if (error.code() != errc::not_found && error.code() != errc::bad_argument) throw;
    return std::nullopt;
  }
}

}  // namespace

LayerManagerBase::LayerManagerBase(LayerStoreBase& store, detail::MounterPolicy mounter, detail::EvictPolicy cache)
    : store_(store), mounter_(std::move(mounter)), cache_(std::move(cache)) {}

ImageStore LayerManagerBase::images() const { return ImageStore(store_); }

Image LayerManagerBase::pull(AnySource source, const std::string& name, const PullOptions& options) {
  return pull_leased(source, name, options, store_.lease());
}

Image LayerManagerBase::pull_leased(AnySource& source, const std::string& name, const PullOptions& options,
                                    const Lease& lease) {
  Image image = detail::pull_image(store_, source, name.empty() ? called_by(source) : name, options, lease,
                                   [this](std::uint64_t wanted) { (void)trim(wanted); });
  (void)trim();
  return image;
}

Image LayerManagerBase::pull_by(std::string_view name, const PullOptions& options,
                                const std::function<AnySource(std::string_view)>& open) {
  return pull_named(name, options, open, store_.lease());
}

std::optional<Image> LayerManagerBase::there(std::string_view name, const PullOptions& options,
                                             const Lease& lease) const {
  std::optional<Image> image;
  try {
    image = images().find(name);
  } catch (const Error& error) {
    if (error.code() != errc::damaged || options.when == PullOptions::When::never) throw;  // else it is made again
  }
  if (!image || !is_for(*image, options.platform)) return std::nullopt;
  try {
    lease.add(image->layer);
    images().touch(image->digest);
  } catch (const Error& error) {
    if (error.code() != errc::not_found) throw;
    return std::nullopt;  // it was removed just now
  }
  return image;
}

Image LayerManagerBase::pull_named(std::string_view name, const PullOptions& options,
                                   const std::function<AnySource(std::string_view)>& open, const Lease& lease) {
  const std::string stored = name_in_store(name, options);
  if (options.when != PullOptions::When::always) {
    // A path may have another image by now, and its tag may be that of any other: neither says what is there.
    if (!options.name.empty() || !names_path(name))
      if (auto image = there(stored.empty() ? name : std::string_view(stored), options, lease))
        return *std::move(image);
    if (options.when == PullOptions::When::never)
      throw_error(errc::not_found, "find the image", quoted(name), "it isn't in the store, and isn't to be pulled");
  }
  AnySource source = open(name);
  return pull_leased(source, stored, options, lease);
}

MountedRoot LayerManagerBase::prepare_by(std::string_view what, std::string_view container,
                                         const PrepareOptions& options,
                                         const std::function<AnySource(std::string_view)>& open) {
  const Lease lease = store_.lease();
  MountOptions mount = options.mount;
  if (options.pull.when != PullOptions::When::always && !names_path(what)) {
    if (const auto image = there(what, options.pull, lease)) {
      mount.image = image->digest;
      return mounter_.mount(image->layer, container, mount);
    }
    const auto layer = images().find(what) ? std::nullopt : layer_of(store_, what);  // one for another platform is none
    if (layer) {
      lease.add(*layer);
      return mounter_.mount(*layer, container, mount);
    }
  }
  const Image image = pull_named(what, options.pull, open, lease);
  mount.image = image.digest;
  return mounter_.mount(image.layer, container, mount);
}

PruneResult LayerManagerBase::prune(const PruneOptions& options) {
  PruneResult result;
  const std::vector<Image> before = images().list();
  result.rest = detail::collect_garbage(
      *store_.core(), {.dry_run = options.dry_run, .min_age = options.min_age, .control = options.control},
      options.all ? detail::Images::unused : detail::Images::unnamed);
  for (const Image& image : before)
    if (std::ranges::find(result.rest.images, image.digest) != result.rest.images.end()) result.images.push_back(image);
  return result;
}

std::vector<Digest> LayerManagerBase::trim(std::uint64_t wanted) {
  std::vector<Digest> removed;
  if (!cache_) return removed;
  std::set<Digest> refused;
  for (bool swept = false;;) {
    const detail::CacheState state = detail::measure_cache(*store_.core());
    for (const CachedImage& image : state.images)
      if (image.needed) refused.insert(image.image);
    std::vector<Digest> chosen = cache_(state.images, state.bytes, wanted);
    std::erase_if(chosen, [&](const Digest& image) { return refused.contains(image); });
    if (chosen.empty()) return removed;
    // What nothing needs at all goes before any image.
    if (!std::exchange(swept, true)) {
      (void)store_.gc();
      continue;
    }
    for (const Digest& image : chosen) {
      try {
        (void)images().remove(image);
        removed.push_back(image);
      } catch (const Error& error) {
        if (error.code() != errc::in_use && error.code() != errc::not_found) throw;
        refused.insert(image);
      }
    }
  }
}

}  // namespace strata
