// Whether two files are the same, as far as a layer can tell them apart.
#pragma once

#include "tree/merged_view.hpp"

#include <stop_token>

namespace strata::detail {

/// An entry of a view.
struct Seen {
  const MergedView& view;
  const MergedView::Entry& entry;
};

/// Whether an attribute belongs into a layer: not overlay's own (D5), and not security.selinux, which is the host's.
bool is_layer_xattr(std::string_view name);
Xattrs layer_xattrs(const Seen& file);

/// Type, mode, owner, time and size: all that a look at a file tells.
bool same_metadata(const Metadata& a, const Metadata& b);
/// Everything but the content: type, mode, owner, time, size, device, link target, xattrs.
bool same_attributes(const Seen& a, const Seen& b);
/// Everything that a layer can carry of a file, but its names.
bool same_file(const Seen& a, const Seen& b, const std::stop_token& stop);
/// Whether nothing of an inode was changed since both were one.
bool untouched(const Metadata& a, const Metadata& b);
/// Of two regular files of one size. Reads them only where their inodes don't say (D7).
bool same_content(const Seen& a, const Seen& b, const std::stop_token& stop);

/// A file that is open, by its name in a directory, both for messages.
struct NamedFile {
  int fd;
  std::string_view directory;
  std::string_view name;
};
/// Whether two files have the same first `size` bytes, or are both cut before.
bool same_bytes(const NamedFile& a, const NamedFile& b, std::uint64_t size, const std::stop_token& stop);

}  // namespace strata::detail
