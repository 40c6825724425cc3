// The system calls of the tree room that nobody else needs.
#pragma once

#include "sys.hpp"

#include <dirent.h>

namespace strata::sys {

inline ssize_t getdents64(int dir, void* into, std::size_t size) noexcept {
  return retry([&] { return ::getdents64(dir, into, size); });
}
inline int chmod(const char* path, mode_t mode) noexcept { return ::chmod(path, mode); }

}  // namespace strata::sys
