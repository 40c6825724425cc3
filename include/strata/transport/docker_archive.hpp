// What `docker save` and `podman save` write: "docker-archive:FILE[:NAME]".
#pragma once

#include <strata/export.hpp>
#include <strata/layer_source.hpp>

#include <boost/filesystem/path.hpp>

#include <memory>
#include <string>

namespace strata {

/// An image of such an archive, of the layouts with `manifest.json` (docker 1.10 and later, also those that are OCI
/// layouts too, docker 25) and with `repositories` alone (before 1.10). It has no manifest, so one of Docker's schema 2
/// is made: its layers are the archive's, plain tars named by their diff ids, or compressed ones, which are digested
/// first. Read where it lies.
class STRATA_API DockerArchiveSource {
 public:
  static constexpr bool local = true;

  /// `name`: one of the names that the archive gives its images ("debian:12"), or "@N" for the Nth image, from 0.
  /// Empty: the only one. Throws errc::not_found and errc::bad_argument, naming those that there are.
  DockerArchiveSource(const boost::filesystem::path& file, const std::string& name);
  DockerArchiveSource(DockerArchiveSource&&) noexcept;
  DockerArchiveSource& operator=(DockerArchiveSource&&) noexcept;
  ~DockerArchiveSource();

  std::string name() const;
  std::string image_name() const;  ///< the one that was asked for, or else the first that it has
  Document top(const std::stop_token& stop);
  Document document(const Descriptor& descriptor, const std::stop_token& stop);
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset, const std::stop_token& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes such an archive, in the layout that docker 1.10 and later load. Layers are stored decompressed, as docker
/// stores them, within the default Budget; indexes are errc::unsupported (name a platform), and layers must be those of
/// the config's diff ids, else finish() throws errc::digest_mismatch. The file appears with finish(), as of
/// OciArchiveSink.
class STRATA_API DockerArchiveSink {
 public:
  static constexpr bool parallel = false;
  static constexpr bool indexes = false;

  /// `name`: what the image is called in it, as "debian:12"; empty: nothing.
  DockerArchiveSink(const boost::filesystem::path& file, const std::string& name);
  DockerArchiveSink(DockerArchiveSink&&) noexcept;
  DockerArchiveSink& operator=(DockerArchiveSink&&) noexcept;
  ~DockerArchiveSink();

  std::string name() const;
  bool has(const Descriptor& descriptor, const std::stop_token& stop);
  void put(const Descriptor& blob, ByteSource& source, const Control& control);
  void put(const Document& document, const std::stop_token& stop);
  void finish(const Document& top, const std::stop_token& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

static_assert(LayerSource<DockerArchiveSource> && LayerSink<DockerArchiveSink>);

}  // namespace strata
