// The system calls that strata makes, one function each, named as they are: the only place that talks to the kernel.
// They return what the kernel returns (-1 and errno), and retry EINTR where a retry is right. Calls that glibc 2.36
// doesn't wrap are made here by number.
#pragma once

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <sched.h>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace strata::sys {

template <class Call>
auto retry(Call call) noexcept {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

inline int openat(int dir, const char* path, int flags, mode_t mode = 0) noexcept {
  return retry([&] { return ::openat(dir, path, flags | O_CLOEXEC, mode); });
}
inline int openat2(int dir, const char* path, open_how& how) noexcept {
  how.flags |= O_CLOEXEC;
  return retry([&] { return static_cast<int>(::syscall(SYS_openat2, dir, path, &how, sizeof how)); });
}
inline int close(int fd) noexcept { return ::close(fd); }
inline ssize_t read(int fd, void* into, std::size_t size) noexcept {
  return retry([&] { return ::read(fd, into, size); });
}
inline ssize_t pread(int fd, void* into, std::size_t size, off_t offset) noexcept {
  return retry([&] { return ::pread(fd, into, size, offset); });
}
inline ssize_t write(int fd, const void* from, std::size_t size) noexcept {
  return retry([&] { return ::write(fd, from, size); });
}
inline ssize_t pwrite(int fd, const void* from, std::size_t size, off_t offset) noexcept {
  return retry([&] { return ::pwrite(fd, from, size, offset); });
}
inline off_t lseek(int fd, off_t offset, int whence) noexcept { return ::lseek(fd, offset, whence); }
inline int ftruncate(int fd, off_t size) noexcept {
  return retry([&] { return ::ftruncate(fd, size); });
}
inline ssize_t copy_file_range(int in, off_t* in_offset, int out, off_t* out_offset, std::size_t size) noexcept {
  return retry([&] { return ::copy_file_range(in, in_offset, out, out_offset, size, 0); });
}
inline int fstat(int fd, struct stat& st) noexcept { return ::fstat(fd, &st); }
inline int fstatat(int dir, const char* path, struct stat& st, int flags) noexcept {
  return ::fstatat(dir, path, &st, flags);
}
inline int mkdirat(int dir, const char* path, mode_t mode) noexcept { return ::mkdirat(dir, path, mode); }
inline int mknodat(int dir, const char* path, mode_t mode, dev_t device) noexcept {
  return ::mknodat(dir, path, mode, device);
}
inline int symlinkat(const char* target, int dir, const char* path) noexcept { return ::symlinkat(target, dir, path); }
inline int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags) noexcept {
  return ::linkat(from_dir, from, to_dir, to, flags);
}
inline int unlinkat(int dir, const char* path, int flags) noexcept { return ::unlinkat(dir, path, flags); }
inline int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) noexcept {
  return static_cast<int>(::syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}
inline ssize_t readlinkat(int dir, const char* path, char* into, std::size_t size) noexcept {
  return ::readlinkat(dir, path, into, size);
}
inline int fchmod(int fd, mode_t mode) noexcept { return ::fchmod(fd, mode); }
inline int fchown(int fd, uid_t uid, gid_t gid) noexcept { return ::fchown(fd, uid, gid); }
inline int fchownat(int dir, const char* path, uid_t uid, gid_t gid, int flags) noexcept {
  return ::fchownat(dir, path, uid, gid, flags);
}
inline int utimensat(int dir, const char* path, const timespec times[2], int flags) noexcept {
  return ::utimensat(dir, path, times, flags);
}
inline int futimens(int fd, const timespec times[2]) noexcept { return ::futimens(fd, times); }
inline int fsetxattr(int fd, const char* name, const void* value, std::size_t size, int flags) noexcept {
  return ::fsetxattr(fd, name, value, size, flags);
}
inline ssize_t fgetxattr(int fd, const char* name, void* into, std::size_t size) noexcept {
  return ::fgetxattr(fd, name, into, size);
}
inline ssize_t flistxattr(int fd, char* into, std::size_t size) noexcept { return ::flistxattr(fd, into, size); }
inline int fremovexattr(int fd, const char* name) noexcept { return ::fremovexattr(fd, name); }
/// On a path: for what can't be opened, through /proc/self/fd/N/NAME (see tree/directory.cpp).
inline int lsetxattr(const char* path, const char* name, const void* value, std::size_t size, int flags) noexcept {
  return ::lsetxattr(path, name, value, size, flags);
}
inline ssize_t lgetxattr(const char* path, const char* name, void* into, std::size_t size) noexcept {
  return ::lgetxattr(path, name, into, size);
}
inline ssize_t llistxattr(const char* path, char* into, std::size_t size) noexcept {
  return ::llistxattr(path, into, size);
}
inline int lremovexattr(const char* path, const char* name) noexcept { return ::lremovexattr(path, name); }
inline int fsync(int fd) noexcept {
  return retry([&] { return ::fsync(fd); });
}
inline int syncfs(int fd) noexcept {
  return retry([&] { return ::syncfs(fd); });
}
inline int fcntl_lock(int fd, int command, struct flock& lock) noexcept {
  return retry([&] { return ::fcntl(fd, command, &lock); });
}
inline int fstatfs(int fd, struct statfs& st) noexcept { return ::fstatfs(fd, &st); }
inline int unshare(int flags) noexcept { return ::unshare(flags); }

}  // namespace strata::sys
