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
  /// RFC 3339: of the image and its history; files are no younger. Empty: SOURCE_DATE_EPOCH where that is set, else
  /// now, and then two builds differ.
  std::string created = {};
  std::string author = {};
  MountOptions mount = {};
  Control control = {};
  /// Told what is done, before it is: "copy app/ to /srv/app", and whether it is taken from the cache.
  std::function<void(std::string_view step, bool cached)> on_step = {};
};

/// Collects steps; build() does them. Used by one thread at a time; any number of builders, in any number of processes,
/// share a store and its cache. Containers whose names begin with "strata-build-" are those of builds: one that no
/// build is at is removed by the next. A failed build leaves its complete steps, as cache; a killed one also a
/// container, which the next build on the store removes.
///
/// The cache is the layers themselves: those of an image stay as long as it does, others until gc() removes them.
class STRATA_API ImageBuilder {
 public:
  /// `base`: an image of the manager's store, or a name that it can pull; "scratch" is nothing.
  template <class Store, class Mounter, class Sources>
  ImageBuilder(LayerManager<Store, Mounter, Sources>& manager, std::string_view base)
      : ImageBuilder(manager, base, [&manager](std::string_view name) {
          return manager.pull(name, {.when = PullOptions::When::missing});
        }) {}
  ImageBuilder(ImageBuilder&&) noexcept;
  ImageBuilder& operator=(ImageBuilder&&) noexcept;
  ~ImageBuilder();

  /// Changes files of the mounted root, which the callback is given. `key` stands for all that the step depends on
  /// besides the steps before it: as long as it is the same, the step counts as made.
  ImageBuilder& run(std::string key, std::function<void(const boost::filesystem::path& root)> change);
  /// Copies a file, or what is in a directory, into the root, `to` being beneath it whatever links are there; owners
  /// become `user`:`group`. A file goes to the path `to`, or, where that is a directory or ends in '/', into it.
  /// Directories that are there keep their attributes; other files are replaced. Extended attributes aren't copied. The
  /// key is what is copied: names, modes, contents, and times, unless the build has a fixed one
  /// (BuildOptions::created): then all that is copied has that. Throws errc::unsupported for what is neither file,
  /// directory nor link.
  ImageBuilder& copy(boost::filesystem::path from, std::string to, unsigned user = 0, unsigned group = 0);
  /// Changes the config; makes no layer.
  ImageBuilder& config(std::function<void(ImageConfig&)> change);

  /// Does all steps and records the image. Throws what a callback throws.
  Image build(std::string_view name, const BuildOptions& options = {});

 private:
  ImageBuilder(LayerManagerBase& manager, std::string_view base, std::function<Image(std::string_view name)> pull);
  struct Impl;
  class Build;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata
