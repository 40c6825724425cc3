// The type of a file, as a tar has it and as the kernel has it.
#pragma once

#include <strata/tar.hpp>

#include <sys/stat.h>

namespace strata::detail {

/// The S_IFMT bits. A hardlink's are those of a file: what it links to isn't known here.
constexpr mode_t type_bits(TarType type) noexcept {
  switch (type) {
    case TarType::directory:
      return S_IFDIR;
    case TarType::symlink:
      return S_IFLNK;
    case TarType::character:
      return S_IFCHR;
    case TarType::block:
      return S_IFBLK;
    case TarType::fifo:
      return S_IFIFO;
    default:
      return S_IFREG;
  }
}

constexpr TarType type_of(mode_t mode) noexcept {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return TarType::directory;
    case S_IFLNK:
      return TarType::symlink;
    case S_IFCHR:
      return TarType::character;
    case S_IFBLK:
      return TarType::block;
    case S_IFIFO:
      return TarType::fifo;
    default:
      return TarType::file;
  }
}

}  // namespace strata::detail
