// Names in a layer tar, made safe: from the bytes of an entry to names below the root (docs/semantics.md, A7 to A9,
// A22).
#pragma once

#include <strata/report.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// The names that lead from the root to an entry: no empty one, no "." or "..", none longer than 255 bytes, all
/// together at most 4,095 bytes. Empty: the root itself.
struct EntryPath {
  std::vector<std::string_view> names;  ///< views of the text given
  bool absolute = false;                ///< it began with '/'
  bool climbs = false;                  ///< it had ".." in it (and stayed inside)
};

/// A name in a directory, both relative to the root, which is empty.
inline std::string joined(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty()) path += '/';
  return path.append(name);
}

/// How many symlinks are followed for one path: the kernel's own limit.
constexpr int most_symlinks = 40;

/// Splits a path of a tar. `what`: "entry", "hardlink target": for messages. Throws errc::bad_archive where it leaves
/// the root, errc::limit_exceeded where it is too long.
EntryPath split_entry_path(std::string_view path, std::string_view what);
/// Into one that is used again and again.
void split_entry_path(std::string_view path, std::string_view what, EntryPath& out);

/// What a last name means.
enum class NameKind { ordinary, whiteout, opaque, aufs };
/// Of a whiteout, `hidden` becomes the name that it hides. Throws errc::bad_archive for a whiteout of nothing, "." or
/// "..".
NameKind classify_name(std::string_view name, std::string_view& hidden, std::string_view path);

}  // namespace strata::detail
