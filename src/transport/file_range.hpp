// Bytes that lie somewhere in an open file, and are read there by any number of readers at a time.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/file_descriptor.hpp>

#include <boost/filesystem/path.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

namespace strata::detail {

struct FileRange {
  std::shared_ptr<const FileDescriptor> file;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;

  /// What is left of it from `skip` on; nothing where it has no more.
  FileRange from(std::uint64_t skip) const;
};

/// Throws errc::cancelled once `stop` is triggered, and errc::bad_archive where the file has become shorter.
class RangeSource final : public ByteSource {
 public:
  RangeSource(FileRange range, std::string name, std::stop_token stop);
  std::size_t read(std::span<std::byte> into) override;
  std::optional<std::uint64_t> size() const override { return size_; }
  std::string name() const override { return name_; }

 private:
  FileRange rest_;
  std::uint64_t size_;
  std::string name_;
  std::stop_token stop_;
};

/// All of it. Throws errc::limit_exceeded where that is more than `most`.
std::string read_range(const FileRange& range, std::uint64_t most, const std::string& name,
                       const std::stop_token& stop);
/// At most `size` of its first bytes.
std::string read_head(const FileRange& range, std::size_t size, const std::string& name);

/// The files of a layout or an archive, by the paths that they have in it. find() may be called by several threads.
class ImageFiles {
 public:
  virtual ~ImageFiles() = default;
  /// nullopt where there is no regular file of that path. Links that lead out aren't followed.
  virtual std::optional<FileRange> find(const std::string& path) const = 0;
};

/// Those beneath a directory, no link followed. Throws Error where there is no such directory.
class DirectoryFiles final : public ImageFiles {
 public:
  explicit DirectoryFiles(const boost::filesystem::path& directory);
  std::optional<FileRange> find(const std::string& path) const override;
  int descriptor() const { return directory_.get(); }

 private:
  FileDescriptor directory_;
  std::string shown_;
};

}  // namespace strata::detail
