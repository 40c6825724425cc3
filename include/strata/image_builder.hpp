// ImageBuilder: an image made of a base and steps, each a layer, as a CI builder does it. A step that was made before,
// on the same base and with the same key, isn't made again.
//
//   strata::ImageBuilder builder{manager, "debian:12"};
//   builder.copy("app/", "/srv/app");
//   builder.run("configure", [](const boost::filesystem::path& root) { ... });
//   builder.config([](strata::ImageConfig& config) { config.config.cmd = {{"/srv/app/run"}}; });
//   const auto image = builder.build("registry.example/app:1");
#pragma once

#include <strata/export.hpp>
#include <strata/image.hpp>
#include <strata/image_store.hpp>
#include <strata/layer_manager.hpp>

#include <boost/filesystem/path.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace strata {

struct BuildOptions {
  bool use_cache = true;  ///< take steps that were made before
  /// Of all layers and the config; files are no younger. Empty: SOURCE_DATE_EPOCH where that is set, else now, and then
  /// two builds differ.
  std::string created = {};
  std::string author = {};
  MountOptions mount = {};
  Control control = {};
  /// Told what is done, before it is: "copy app/ to /srv/app", and whether it is taken from the cache.
  std::function<void(std::string_view step, bool cached)> on_step = {};
};

/// Collects steps; build() does them. Used by one thread at a time; any number of builders, in any number of processes,
/// share a store and its cache. What a failed or killed build leaves: its complete steps, as cache.
class STRATA_API ImageBuilder {
 public:
  /// `base`: an image of the manager's store, or a name that it can pull; "scratch" is nothing.
  template <class Store, class Mounter, class Sources>
  ImageBuilder(LayerManager<Store, Mounter, Sources>& manager, std::string_view base)
      : ImageBuilder(manager, base,
                     [&manager](std::string_view image, std::string_view container, const MountOptions& mount) {
                       return manager.prepare(image, container, {.mount = mount});
                     }) {}
  ImageBuilder(ImageBuilder&&) noexcept;
  ImageBuilder& operator=(ImageBuilder&&) noexcept;
  ~ImageBuilder();

  /// Changes files of the mounted root, which the callback is given. `key` stands for all that the step depends on
  /// besides the steps before it: as long as it is the same, the step counts as made.
  ImageBuilder& run(std::string key, std::function<void(const boost::filesystem::path& root)> change);
  /// Copies a file, or what is in a directory, into the root, `to` being beneath it whatever links are there; owners
  /// become `user`:`group`. The key is what is copied: names, modes, times unless SOURCE_DATE_EPOCH is set, and
  /// contents.
  ImageBuilder& copy(boost::filesystem::path from, std::string to, unsigned user = 0, unsigned group = 0);
  /// Changes the config; makes no layer.
  ImageBuilder& config(std::function<void(ImageConfig&)> change);

  /// Does all steps and records the image. Throws what a callback throws.
  Image build(std::string_view name, const BuildOptions& options = {});

 private:
  using Prepare = std::function<MountedRoot(std::string_view image, std::string_view container, const MountOptions&)>;
  ImageBuilder(LayerManagerBase& manager, std::string_view base, Prepare prepare);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata
