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

}  // namespace strata::sys
