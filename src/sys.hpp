// The system calls that strata makes, one function each, named as they are: the only place that talks to the kernel.
// They return what the kernel returns (-1 and errno), and retry EINTR where a retry is right. Calls that glibc 2.36
// doesn't wrap are made here by number. Each asks `hook` first, so that a test can make any of them fail.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <sched.h>
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace strata::sys {

/// What is to become of a call that is about to be made.
struct Fate {
  int error = 0;                   ///< errno that it fails with, without being made
  std::size_t at_most = SIZE_MAX;  ///< bytes, of a call that transfers some
};
/// Where a test stands between strata and the kernel: asked before each call, by its name, in the thread that makes it.
/// Null otherwise, and then nobody is asked.
inline std::atomic<Fate (*)(const char* call) noexcept> hook{nullptr};

inline Fate fate_of(const char* name) noexcept {
  const auto ask = hook.load(std::memory_order_relaxed);
  return ask ? ask(name) : Fate{};
}

template <class Call>
auto once(const char* name, Call call) noexcept {
  using Result = decltype(call());
  if (const int error = fate_of(name).error) {
    errno = error;
    return Result{-1};
  }
  return call();
}

template <class Call>
auto retry(const char* name, Call call) noexcept {
  auto result = once(name, call);
  while (result == -1 && errno == EINTR) result = once(name, call);
  return result;
}

/// A call that transfers `size` bytes at most.
template <class Call>
ssize_t transfer(const char* name, std::size_t size, Call call) noexcept {
  for (;;) {
    const Fate fate = fate_of(name);
    errno = fate.error;
    const ssize_t result = fate.error ? -1 : call(std::min(size, fate.at_most));
    if (result != -1 || errno != EINTR) return result;
  }
}

inline int openat(int dir, const char* path, int flags, mode_t mode = 0) noexcept {
  return retry("openat", [&] { return ::openat(dir, path, flags | O_CLOEXEC, mode); });
}
inline int openat2(int dir, const char* path, open_how& how) noexcept {
  how.flags |= O_CLOEXEC;
  return retry("openat2", [&] { return static_cast<int>(::syscall(SYS_openat2, dir, path, &how, sizeof how)); });
}
/// Whatever it returns, the descriptor is closed.
inline int close(int fd) noexcept {
  const int closed = ::close(fd);
  return once("close", [&] { return closed; });
}
inline ssize_t read(int fd, void* into, std::size_t size) noexcept {
  return transfer("read", size, [&](std::size_t n) { return ::read(fd, into, n); });
}
inline ssize_t pread(int fd, void* into, std::size_t size, off_t offset) noexcept {
  return transfer("pread", size, [&](std::size_t n) { return ::pread(fd, into, n, offset); });
}
inline ssize_t write(int fd, const void* from, std::size_t size) noexcept {
  return transfer("write", size, [&](std::size_t n) { return ::write(fd, from, n); });
}
inline ssize_t pwrite(int fd, const void* from, std::size_t size, off_t offset) noexcept {
  return transfer("pwrite", size, [&](std::size_t n) { return ::pwrite(fd, from, n, offset); });
}
inline off_t lseek(int fd, off_t offset, int whence) noexcept {
  return once("lseek", [&] { return ::lseek(fd, offset, whence); });
}
inline int ftruncate(int fd, off_t size) noexcept {
  return retry("ftruncate", [&] { return ::ftruncate(fd, size); });
}
inline ssize_t copy_file_range(int in, off_t* in_offset, int out, off_t* out_offset, std::size_t size) noexcept {
  return transfer("copy_file_range", size,
                  [&](std::size_t n) { return ::copy_file_range(in, in_offset, out, out_offset, n, 0); });
}
inline int fstat(int fd, struct stat& st) noexcept {
  return once("fstat", [&] { return ::fstat(fd, &st); });
}
inline int fstatat(int dir, const char* path, struct stat& st, int flags) noexcept {
  return once("fstatat", [&] { return ::fstatat(dir, path, &st, flags); });
}
inline int mkdirat(int dir, const char* path, mode_t mode) noexcept {
  return once("mkdirat", [&] { return ::mkdirat(dir, path, mode); });
}
inline int mknodat(int dir, const char* path, mode_t mode, dev_t device) noexcept {
  return once("mknodat", [&] { return ::mknodat(dir, path, mode, device); });
}
inline int symlinkat(const char* target, int dir, const char* path) noexcept {
  return once("symlinkat", [&] { return ::symlinkat(target, dir, path); });
}
inline int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags) noexcept {
  return once("linkat", [&] { return ::linkat(from_dir, from, to_dir, to, flags); });
}
inline int unlinkat(int dir, const char* path, int flags) noexcept {
  return once("unlinkat", [&] { return ::unlinkat(dir, path, flags); });
}
inline int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) noexcept {
  return once("renameat2",
              [&] { return static_cast<int>(::syscall(SYS_renameat2, from_dir, from, to_dir, to, flags)); });
}
inline ssize_t readlinkat(int dir, const char* path, char* into, std::size_t size) noexcept {
  return once("readlinkat", [&] { return ::readlinkat(dir, path, into, size); });
}
inline int fchmod(int fd, mode_t mode) noexcept {
  return once("fchmod", [&] { return ::fchmod(fd, mode); });
}
inline int fchown(int fd, uid_t uid, gid_t gid) noexcept {
  return once("fchown", [&] { return ::fchown(fd, uid, gid); });
}
inline int fchownat(int dir, const char* path, uid_t uid, gid_t gid, int flags) noexcept {
  return once("fchownat", [&] { return ::fchownat(dir, path, uid, gid, flags); });
}
inline int utimensat(int dir, const char* path, const timespec times[2], int flags) noexcept {
  return once("utimensat", [&] { return ::utimensat(dir, path, times, flags); });
}
inline int futimens(int fd, const timespec times[2]) noexcept {
  return once("futimens", [&] { return ::futimens(fd, times); });
}
inline int fsetxattr(int fd, const char* name, const void* value, std::size_t size, int flags) noexcept {
  return once("fsetxattr", [&] { return ::fsetxattr(fd, name, value, size, flags); });
}
inline ssize_t fgetxattr(int fd, const char* name, void* into, std::size_t size) noexcept {
  return once("fgetxattr", [&] { return ::fgetxattr(fd, name, into, size); });
}
inline ssize_t flistxattr(int fd, char* into, std::size_t size) noexcept {
  return once("flistxattr", [&] { return ::flistxattr(fd, into, size); });
}
inline int fremovexattr(int fd, const char* name) noexcept {
  return once("fremovexattr", [&] { return ::fremovexattr(fd, name); });
}
/// On a path: for what can't be opened, through /proc/self/fd/N/NAME (see tree/directory.cpp).
inline int lsetxattr(const char* path, const char* name, const void* value, std::size_t size, int flags) noexcept {
  return once("lsetxattr", [&] { return ::lsetxattr(path, name, value, size, flags); });
}
inline ssize_t lgetxattr(const char* path, const char* name, void* into, std::size_t size) noexcept {
  return once("lgetxattr", [&] { return ::lgetxattr(path, name, into, size); });
}
inline ssize_t llistxattr(const char* path, char* into, std::size_t size) noexcept {
  return once("llistxattr", [&] { return ::llistxattr(path, into, size); });
}
inline int lremovexattr(const char* path, const char* name) noexcept {
  return once("lremovexattr", [&] { return ::lremovexattr(path, name); });
}
inline int fsync(int fd) noexcept {
  return retry("fsync", [&] { return ::fsync(fd); });
}
inline int syncfs(int fd) noexcept {
  return retry("syncfs", [&] { return ::syncfs(fd); });
}
inline int fcntl_lock(int fd, int command, struct flock& lock) noexcept {
  return retry("fcntl_lock", [&] { return ::fcntl(fd, command, &lock); });
}
inline int fstatfs(int fd, struct statfs& st) noexcept {
  return once("fstatfs", [&] { return ::fstatfs(fd, &st); });
}
inline ssize_t getrandom(void* into, std::size_t size) noexcept {
  return transfer("getrandom", size, [&](std::size_t n) { return ::getrandom(into, n, 0); });
}
inline int unshare(int flags) noexcept {
  return once("unshare", [&] { return ::unshare(flags); });
}

}  // namespace strata::sys
