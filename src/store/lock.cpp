#include "store/lock.hpp"

#include <strata/error.hpp>

#include "sys.hpp"

namespace strata::detail {

namespace {

struct Range {
  off_t start = 0;
  off_t size = 0;  ///< 0: to the end, wherever that is
};

/// Takes the lock on an open file. False: another holds it and `wait` is not set.
bool take(int fd, const char* name, Lock::Kind kind, bool wait, Range range = {}) {
  struct flock lock {};
  lock.l_type = kind == Lock::Kind::shared ? F_RDLCK : F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = range.start;
  lock.l_len = range.size;
  if (sys::fcntl_lock(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, lock) == 0) return true;
  if (!wait && (errno == EAGAIN || errno == EACCES)) return false;
  throw_errno(errno, "lock", quoted(name));
}

FileDescriptor open_lock(int dir, const char* name) {
  FileDescriptor fd(sys::openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (!fd) throw_errno(errno, "open the lock file", quoted(name));
  return fd;
}

}  // namespace

Lock Lock::wait(int dir, const char* name, Kind kind) {
  FileDescriptor fd = open_lock(dir, name);
  take(fd.get(), name, kind, true);
  return Lock(std::move(fd));
}

std::optional<Lock> Lock::attempt(int dir, const char* name, Kind kind) {
  FileDescriptor fd = open_lock(dir, name);
  if (!take(fd.get(), name, kind, false)) return std::nullopt;
  return Lock(std::move(fd));
}

std::optional<Lock> Lock::attempt_byte(int dir, const char* name, std::uint64_t byte) {
  FileDescriptor fd = open_lock(dir, name);
  if (!take(fd.get(), name, Kind::exclusive, false, {.start = static_cast<off_t>(byte), .size = 1}))
    return std::nullopt;
  return Lock(std::move(fd));
}

bool Lock::attempt_on(int fd, const std::string& name, Kind kind) { return take(fd, name.c_str(), kind, false); }

}  // namespace strata::detail
