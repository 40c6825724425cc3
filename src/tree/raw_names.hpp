// The names of a directory as the kernel gives them: in its order, and without memory for each.
#pragma once

#include <dirent.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace strata::detail {

/// Used again and again, for one directory after the other.
class RawNames {
 public:
  using Name = const dirent64*;

  /// Takes all names of a directory (opened for reading, at its begin) but "." and "..". Throws Error.
  void read(int dir, std::string_view shown);
  /// Valid until the next call of read() or clear(). May be put into another order.
  std::span<Name> all() { return names_; }
  /// Forgets them. What a large directory took isn't kept for the small ones after it.
  void clear();

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::vector<Name> names_;
};

}  // namespace strata::detail
