// What trees take on the disk.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include <sys/types.h>

namespace strata::detail {

/// Sums up trees of one filesystem, by inode: one with several names counts once, and as exclusive when all of its
/// names have been seen.
class Usage {
 public:
  /// Adds `name` in `dir`, which may be a path, with all beneath it, however deep. What is gone by the time that it is
  /// looked at, counts nothing.
  void add(int dir, const std::string& name);

  std::uint64_t exclusive_bytes() const { return exclusive_; }  ///< blocks that would be free without these trees
  std::uint64_t shared_bytes() const;                           ///< blocks of inodes that have names elsewhere
  std::uint64_t files() const { return files_; }                ///< inodes that would be free

 private:
  struct Linked {
    std::uint64_t seen = 0, names = 0, bytes = 0;
  };
  std::uint64_t exclusive_ = 0, files_ = 0;
  std::map<std::pair<dev_t, ino_t>, Linked> linked_;
};

}  // namespace strata::detail
