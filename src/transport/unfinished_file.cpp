#include "transport/unfinished_file.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "sys.hpp"

#include <utility>

namespace strata::detail {

UnfinishedFile::UnfinishedFile(int dir, std::string shown)
    : dir_(dir), shown_(std::move(shown)), name_(std::string(prefix) + random_name()) {
  fd_ = FileDescriptor(sys::openat(dir_, name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666));
  if (!fd_) throw_errno(errno, "create", shown_);
}

UnfinishedFile::~UnfinishedFile() {
  if (!name_.empty()) sys::unlinkat(dir_, name_.c_str(), 0);
}

void UnfinishedFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = sys::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0) throw_errno(errno, "write", shown_);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void UnfinishedFile::write_at(std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = sys::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) throw_errno(errno, "write", shown_);
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void UnfinishedFile::resize(std::uint64_t size) {
  if (sys::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0 ||
      sys::lseek(fd_.get(), static_cast<off_t>(size), SEEK_SET) < 0)
    throw_errno(errno, "write", shown_);
}

void UnfinishedFile::publish(int dir, const std::string& name) {
  if (sys::fsync(fd_.get()) != 0) throw_errno(errno, "sync", shown_);
  if (sys::renameat2(dir_, name_.c_str(), dir, name.c_str(), 0) != 0) throw_errno(errno, "write", shown_);
  name_.clear();
}

}  // namespace strata::detail
