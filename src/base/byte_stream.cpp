#include <strata/byte_stream.hpp>
#include <strata/error.hpp>

#include "sys.hpp"

#include <algorithm>
#include <cstring>
#include <istream>
#include <memory>
#include <ostream>

namespace strata {

FileSource::FileSource(FileDescriptor fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {
  struct stat st;
  if (sys::fstat(fd_.get(), st) != 0 || !S_ISREG(st.st_mode)) return;
  const off_t position = sys::lseek(fd_.get(), 0, SEEK_CUR);
  if (position >= 0) size_ = static_cast<std::uint64_t>(std::max<off_t>(st.st_size - position, 0));
}

std::size_t FileSource::read(std::span<std::byte> into) {
  const ssize_t n = sys::read(fd_.get(), into.data(), into.size());
  if (n < 0) throw_errno(errno, "read", name_);
  return static_cast<std::size_t>(n);
}

FileSink::FileSink(FileDescriptor fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}

void FileSink::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = sys::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0) throw_errno(errno, "write", name_);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

std::size_t MemorySource::read(std::span<std::byte> into) {
  const std::size_t n = std::min(into.size(), rest_.size());
  if (n != 0) std::memcpy(into.data(), rest_.data(), n);
  rest_ = rest_.subspan(n);
  return n;
}

void MemorySink::write(std::span<const std::byte> bytes) {
  text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::size_t StreamSource::read(std::span<std::byte> into) {
  if (stream_.eof()) return 0;
  try {
    stream_.read(reinterpret_cast<char*>(into.data()), static_cast<std::streamsize>(into.size()));
  } catch (const std::ios_base::failure&) {
    // Where the host has turned exceptions on. The stream's state says the same, and the end is no failure here.
  }
  const auto n = static_cast<std::size_t>(stream_.gcount());
  if (stream_.bad() || (stream_.fail() && !stream_.eof())) throw_errno(EIO, "read", name());
  return n;
}

void StreamSink::write(std::span<const std::byte> bytes) {
  if (!stream_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    throw_errno(EIO, "write", "the output");
}

void StreamSink::finish() {
  if (!stream_.flush()) throw_errno(EIO, "write", "the output");
}

FileSource open_file(const boost::filesystem::path& path) {
  FileDescriptor fd(sys::openat(AT_FDCWD, path.c_str(), O_RDONLY));
  if (!fd) throw_errno(errno, "open", quoted(path.native()));
  return FileSource(std::move(fd), quoted(path.native()));
}

FileSink create_file(const boost::filesystem::path& path) {
  FileDescriptor fd(sys::openat(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666));
  if (!fd) throw_errno(errno, "create", quoted(path.native()));
  return FileSink(std::move(fd), quoted(path.native()));
}

std::uint64_t copy(ByteSource& from, ByteSink& to) {
  constexpr std::size_t block = 128 * 1024;
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(block);
  std::uint64_t total = 0;
  while (const std::size_t n = from.read({buffer.get(), block})) {
    to.write({buffer.get(), n});
    total += n;
  }
  return total;
}

}  // namespace strata
