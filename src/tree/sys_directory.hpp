// The system calls of the tree room that nobody else needs.
#pragma once

#include "sys.hpp"

#include <dirent.h>

namespace strata::sys {

inline ssize_t getdents64(int dir, void* into, std::size_t size) noexcept {
  return retry("getdents64", [&] { return ::getdents64(dir, into, size); });
}
/// Linux 6.6: fchmodat that heeds its flags. Kernel headers of Debian 12 don't have its number.
inline int fchmodat2(int dir, const char* path, mode_t mode, int flags) noexcept {
  return once("fchmodat2", [&] { return static_cast<int>(::syscall(452, dir, path, mode, flags)); });
}
inline int chmod(const char* path, mode_t mode) noexcept {
  return once("chmod", [&] { return ::chmod(path, mode); });
}
/// Linux 6.13: attributes by directory and name. Kernel headers of Debian 12 have neither number nor structure.
inline ssize_t listxattrat(int dir, const char* path, unsigned flags, char* into, std::size_t size) noexcept {
  return once("listxattrat", [&] { return static_cast<ssize_t>(::syscall(465, dir, path, flags, into, size)); });
}
inline ssize_t getxattrat(int dir, const char* path, unsigned flags, const char* name, void* into,
                          std::size_t size) noexcept {
  const struct {
    alignas(8) std::uint64_t value;
    std::uint32_t size, flags;
  } arguments{reinterpret_cast<std::uintptr_t>(into), static_cast<std::uint32_t>(size), 0};
  return once("getxattrat", [&] {
    return static_cast<ssize_t>(::syscall(464, dir, path, flags, name, &arguments, sizeof arguments));
  });
}

}  // namespace strata::sys
