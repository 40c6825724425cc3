#include "diff/compare.hpp"

#include <strata/error.hpp>

#include <algorithm>
#include <cstring>

namespace strata::detail {
namespace {

constexpr std::size_t piece = 1 << 17;

/// Fills up to `size` bytes; fewer only at the end of the file.
std::size_t read_at(std::byte* into, std::size_t size, std::uint64_t offset, const NamedFile& file) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = sys::pread(file.fd, into + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0) throw_errno(errno, "read", quoted(shown_path(file.directory, file.name)));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

}  // namespace

/// The time of its last change can't be set: an inode that has it still (in a snapshot, through another mount) is as it
/// was. Whole seconds are a filesystem's that has no more, and could meet by chance.
bool untouched(const Metadata& a, const Metadata& b) {
  return a.inode == b.inode && (a.device == b.device || (a.ctime == b.ctime && a.ctime.nanoseconds != 0));
}

bool is_layer_xattr(std::string_view name) { return !is_overlay_xattr(name) && name != "security.selinux"; }

Xattrs layer_xattrs(const Seen& file) {
  Xattrs xattrs = file.view.xattrs(file.entry);
  std::erase_if(xattrs, [](const auto& attribute) { return !is_layer_xattr(attribute.first); });
  return xattrs;
}

bool same_metadata(const Metadata& a, const Metadata& b) {
  if (a.mode != b.mode || a.uid != b.uid || a.gid != b.gid || a.mtime != b.mtime) return false;
  if (a.is_file() && a.size != b.size) return false;
  return !(S_ISCHR(a.mode) || S_ISBLK(a.mode)) || a.rdev == b.rdev;
}

bool same_attributes(const Seen& a, const Seen& b) {
  const Metadata& x = a.entry.metadata;
  const Metadata& y = b.entry.metadata;
  if (!same_metadata(x, y)) return false;
  if (untouched(x, y)) return true;
  if (x.is_symlink() && a.view.link_target(a.entry) != b.view.link_target(b.entry)) return false;
  return layer_xattrs(a) == layer_xattrs(b);
}

bool same_file(const Seen& a, const Seen& b, const std::stop_token& stop) {
  return same_attributes(a, b) && (!b.entry.metadata.is_file() || same_content(a, b, stop));
}

bool same_content(const Seen& a, const Seen& b, const std::stop_token& stop) {
  // Of a metacopy file, the inode that was looked at isn't the one that has the content.
  const bool own_data = a.entry.data == a.entry.top() && b.entry.data == b.entry.top();
  if (own_data && untouched(a.entry.metadata, b.entry.metadata)) return true;
  Metadata p, q;
  const FileDescriptor x = a.view.open_data(a.entry, p), y = b.view.open_data(b.entry, q);
  if (untouched(p, q)) return true;
  if (p.size != q.size) return false;
  const std::string shown_a = a.view.shown(a.entry), shown_b = b.view.shown(b.entry);
  return same_bytes({x.get(), shown_a, {}}, {y.get(), shown_b, {}}, p.size, stop);
}

bool same_bytes(const NamedFile& a, const NamedFile& b, std::uint64_t file_size, const std::stop_token& stop) {
  // One for all of a thread's files, most of which are small.
  thread_local std::vector<std::byte> left(piece), right(piece);
  for (std::uint64_t offset = 0; offset < file_size;) {
    if (stop.stop_requested()) throw_error(errc::cancelled, "compare", quoted(shown_path(a.directory, a.name)));
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(piece, file_size - offset));
    const std::size_t n = read_at(left.data(), size, offset, a);
    if (n != read_at(right.data(), size, offset, b)) return false;
    if (std::memcmp(left.data(), right.data(), n) != 0) return false;
    if (n < size) break;  // both were cut meanwhile
    offset += n;
  }
  return true;
}

}  // namespace strata::detail
