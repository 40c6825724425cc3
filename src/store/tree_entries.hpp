// What a tree is, entry by entry, where its layer tar alone doesn't say it: entries that replaced one another, were led
// elsewhere by symlinks, or took something from below (docs/semantics.md, A11 to A14, A21). verify() compares with it.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/file_descriptor.hpp>

#include <string>
#include <vector>

namespace strata::detail {

/// Of a file in `entries`: its size, and, where no recipe has its content, the first 8 bytes of the XXH3-128 of it.
inline constexpr const char* entry_size = "STRATA.size";
inline constexpr const char* entry_checksum = "STRATA.xxh3";

/// Writes `entries` of `tree`: a tar of all that is in its fs/, root included, in which files have no content, and
/// marks of the union are as they are on disk. `copied`: paths of the files whose content came from a lower layer.
void write_tree_entries(int tree, const std::vector<std::string>& copied);

/// The checksum of what a descriptor has, in hexadecimal.
std::string content_checksum(int fd, const std::string& path);

}  // namespace strata::detail
