// Reading a changed file, which must not change meanwhile.
#pragma once

#include "diff/compare.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace strata::detail {

/// A regular file, open for reading. One that is being written may have grown since it was looked at: what it is now
/// counts.
struct OpenFile {
  FileDescriptor fd;
  Metadata now;  ///< `size` and `blocks` are those of its data
};
OpenFile open_file(const Seen& file);

/// A file that was read at once.
struct SmallFile {
  static constexpr std::uint64_t most = 64U << 10;  ///< bytes
  Metadata now;
  std::vector<std::byte> content;
};
/// Whether a file is read at once: it is small, and no part of it is a hole, as far as its blocks say.
bool is_small(const Metadata& file);
/// All of a file that is_small. Throws errc::in_use where its size changes meanwhile.
SmallFile read_small(const OpenFile& file, const std::string& shown);

[[noreturn]] void throw_changed(const std::string& shown, const char* how);

}  // namespace strata::detail
