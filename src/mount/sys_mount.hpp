// The system calls of mounting. glibc 2.36 wraps all of them.
#pragma once

#include "sys.hpp"

#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

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

}  // namespace strata::sys
