// OCI image layouts (OCI image-layout.md), as a directory and as a tar of one: "oci:DIR[:TAG]",
// "oci-archive:FILE[:TAG]".
#pragma once

#include <strata/export.hpp>
#include <strata/layer_source.hpp>

#include <boost/filesystem/path.hpp>

#include <memory>
#include <string>

namespace strata {

/// An image of a layout. Nothing of the layout is trusted: links in it that lead out of it aren't followed.
class STRATA_API OciLayoutSource {
 public:
  static constexpr bool local = true;

  /// `tag`: an `org.opencontainers.image.ref.name` of the layout's index, or a digest in it; empty: the only image
  /// there is, else the index itself where all that it lists are platforms of one image; errc::bad_argument, naming the
  /// tags, where there are several. Throws errc::not_found, errc::bad_archive where it is no layout.
  OciLayoutSource(const boost::filesystem::path& directory, const std::string& tag);
  OciLayoutSource(OciLayoutSource&&) noexcept;
  OciLayoutSource& operator=(OciLayoutSource&&) noexcept;
  ~OciLayoutSource();

  std::string name() const;
  /// `io.containerd.image.name`, or else the tag, as the index has them. A tag that is no name outside of its place
  /// ("latest") has that of the place before it: "localhost/images:latest".
  std::string image_name() const;
  Document top(const std::stop_token& stop);
  Document document(const Descriptor& descriptor, const std::stop_token& stop);
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset, const std::stop_token& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes into a layout, which it makes where there is none. What is there stays, but for the tag, which is moved; any
/// number of processes write to one layout at a time. A blob appears under its name once it is whole. After a crash: a
/// layout without the image, and perhaps with blobs that none has, and files `.strata-RANDOM` that nobody reads.
class STRATA_API OciLayoutSink {
 public:
  static constexpr bool parallel = true;

  /// `tag` may be empty: then the index lists the image without a name. Throws errc::refused for a directory that has
  /// other things and is no layout, errc::bad_argument for a name that the image spec doesn't have.
  OciLayoutSink(const boost::filesystem::path& directory, const std::string& tag);
  OciLayoutSink(OciLayoutSink&&) noexcept;
  OciLayoutSink& operator=(OciLayoutSink&&) noexcept;
  ~OciLayoutSink();

  std::string name() const;
  bool has(const Descriptor& descriptor, const std::stop_token& stop);
  void put(const Descriptor& blob, ByteSource& source, const Control& control);
  void put(const Document& document, const std::stop_token& stop);
  void finish(const Document& top, const std::stop_token& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// An image of a layout in a plain tar, read where it lies: the tar is neither unpacked nor held in memory. A
/// compressed one is errc::unsupported, with what to do.
class STRATA_API OciArchiveSource {
 public:
  static constexpr bool local = true;

  OciArchiveSource(const boost::filesystem::path& file, const std::string& tag);
  OciArchiveSource(OciArchiveSource&&) noexcept;
  OciArchiveSource& operator=(OciArchiveSource&&) noexcept;
  ~OciArchiveSource();

  std::string name() const;
  /// `io.containerd.image.name`, or else the tag, as the index has them. A tag that is no name outside of its place
  /// ("latest") has that of the place before it: "localhost/images:latest".
  std::string image_name() const;
  Document top(const std::stop_token& stop);
  Document document(const Descriptor& descriptor, const std::stop_token& stop);
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset, const std::stop_token& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes a tar of a layout. The same image gives the same bytes if it is put in the same order. The file appears under
/// its name with finish(), in the place of one that was there; until then, and after a crash, the name is as it was.
class STRATA_API OciArchiveSink {
 public:
  static constexpr bool parallel = false;

  OciArchiveSink(const boost::filesystem::path& file, const std::string& tag);
  OciArchiveSink(OciArchiveSink&&) noexcept;
  OciArchiveSink& operator=(OciArchiveSink&&) noexcept;
  ~OciArchiveSink();

  std::string name() const;
  bool has(const Descriptor& descriptor, const std::stop_token& stop);
  void put(const Descriptor& blob, ByteSource& source, const Control& control);
  void put(const Document& document, const std::stop_token& stop);
  void finish(const Document& top, const std::stop_token& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

static_assert(LayerSource<OciLayoutSource> && LayerSource<OciArchiveSource>);
static_assert(LayerSink<OciLayoutSink> && LayerSink<OciArchiveSink>);

}  // namespace strata
