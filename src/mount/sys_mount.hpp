// The system calls of mounting. glibc 2.36 wraps all but statmount.
#pragma once

#include "sys.hpp"

#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstddef>

namespace strata::sys {

inline int fsopen(const char* type) noexcept {
  return once("fsopen", [&] { return ::fsopen(type, FSOPEN_CLOEXEC); });
}
inline int fsconfig_flag(int context, const char* key) noexcept {
  return once("fsconfig_flag", [&] { return ::fsconfig(context, FSCONFIG_SET_FLAG, key, nullptr, 0); });
}
inline int fsconfig_string(int context, const char* key, const char* value) noexcept {
  return once("fsconfig_string", [&] { return ::fsconfig(context, FSCONFIG_SET_STRING, key, value, 0); });
}
inline int fsconfig_fd(int context, const char* key, int fd) noexcept {
  return once("fsconfig_fd", [&] { return ::fsconfig(context, FSCONFIG_SET_FD, key, nullptr, fd); });
}
inline int fsconfig_create(int context) noexcept {
  return once("fsconfig_create", [&] { return ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0); });
}
inline int fsmount(int context, unsigned attributes) noexcept {
  return once("fsmount", [&] { return ::fsmount(context, FSMOUNT_CLOEXEC, attributes); });
}
/// Attaches a detached mount at the directory `target`, both by descriptor.
inline int move_mount(int mount, int target) noexcept {
  return once("move_mount",
              [&] { return ::move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH); });
}
/// A detached copy of the mount at `dir`, with that directory as its root.
inline int open_tree_clone(int dir) noexcept {
  return once("open_tree_clone",
              [&] { return ::open_tree(dir, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC); });
}
/// The same for a directory beneath an open one.
inline int open_tree_clone_at(int dir, const char* path) noexcept {
  return once("open_tree_clone", [&] { return ::open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC); });
}
inline int mount_setattr(int mount, mount_attr& attributes) noexcept {
  return once("mount_setattr",
              [&] { return ::mount_setattr(mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes); });
}
inline int pipe2(int ends[2]) noexcept {
  return once("pipe2", [&] { return ::pipe2(ends, O_CLOEXEC); });
}
/// Starts a process in a user namespace of its own that does nothing until `wait_for` ends or is written to. It sends
/// no signal when it ends, so that whoever waits for children of theirs doesn't find it.
inline pid_t clone_into_user_namespace(int wait_for, int close_first) noexcept {
  return once("clone", [&] {
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWUSER, nullptr, nullptr, nullptr, 0));
    if (child != 0) return child;
    // Other threads' locks are as they were: system calls alone.
    char byte;
    // It may outlive its parent, and is to keep nothing of it: not the other end, not others' locks.
    ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    ::syscall(SYS_close_range, 0U, static_cast<unsigned>(wait_for) - 1, 0U);
    ::syscall(SYS_close_range, static_cast<unsigned>(wait_for) + 1, ~0U, 0U);
    ::syscall(SYS_close, close_first);
    ::syscall(SYS_read, wait_for, &byte, 1);
    ::_exit(0);
  });
}
/// Ends such a process.
inline void kill_clone(pid_t child) noexcept {
  ::kill(child, SIGKILL);
  while (::waitpid(child, nullptr, __WALL) == -1 && errno == EINTR) {
  }
}
inline int mount(const char* source, const char* target, const char* type, unsigned long flags,
                 const void* data) noexcept {
  return once("mount", [&] { return ::mount(source, target, type, flags, data); });
}
inline int umount2(const char* target, int flags) noexcept {
  return once("umount2", [&] { return ::umount2(target, flags); });
}
inline int statx(int dir, const char* path, int flags, unsigned mask, struct statx& st) noexcept {
  return once("statx", [&] { return ::statx(dir, path, flags, mask, &st); });
}
inline int chdir(const char* path) noexcept {
  return once("chdir", [&] { return ::chdir(path); });
}
inline int uname(utsname& name) noexcept {
  return once("uname", [&] { return ::uname(&name); });
}
inline int ioctl(int fd, unsigned long request, long argument) noexcept {
  return once("ioctl", [&] { return ::ioctl(fd, request, argument); });
}

/// Linux 6.8: the number by which statmount knows a mount, in stx_mnt_id.
inline constexpr unsigned statx_unique_mount_id = 0x4000;
/// What statmount fills in (struct statmount of linux/mount.h, of which Debian 12 has none); texts follow it, each an
/// offset from its end.
struct MountStatus {
  std::uint32_t size, options;
  std::uint64_t mask;
  std::array<std::uint32_t, 27> not_asked_for;
  std::uint32_t source;
  std::array<std::uint64_t, 48> later;
};
static_assert(sizeof(MountStatus) == 512 && offsetof(MountStatus, source) == 124);
inline constexpr std::uint64_t statmount_source = 0x200;  ///< Linux 6.14
/// Linux 6.8.
inline int statmount(std::uint64_t mount, std::uint64_t mask, void* into, std::size_t size) noexcept {
  const struct {
    std::uint32_t size, spare;
    std::uint64_t mount, mask;
  } request{24, 0, mount, mask};
  return once("statmount", [&] { return static_cast<int>(::syscall(457, &request, into, size, 0)); });
}

}  // namespace strata::sys
