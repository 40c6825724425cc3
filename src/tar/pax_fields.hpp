// What the PAX headers before an entry say, sorted out: the records that strata knows by keyword, xattrs, the pairs of
// a GNU 0.0 sparse map, and the others.
#pragma once

#include "tar/pax.hpp"

#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

namespace strata::detail {

enum class PaxKey : std::size_t {
  path,
  link_path,
  size,
  uid,
  gid,
  user_name,
  group_name,
  mtime,
  atime,
  ctime,
  device_major,
  device_minor,
  real_size,
  sparse_major,
  sparse_minor,
  sparse_name,
  sparse_size,
  sparse_real_size,
  sparse_blocks,
  sparse_map,
  acl_access,
  acl_default,
  selinux,
  count,
};

/// Global records are added first, then those of the entry, which win; the last of the same keyword counts.
/// Views into what was added.
class PaxFields {
 public:
  void clear() noexcept;
  void add(const PaxRecord& record);

  /// Empty where there is none: POSIX.1 has an empty value delete what stands elsewhere, so nothing else is lost.
  std::string_view operator[](PaxKey key) const noexcept { return known_[static_cast<std::size_t>(key)]; }
  /// SCHILY.xattr.*, the prefix cut off. An empty value here is an xattr that is empty, as GNU tar writes it.
  const std::vector<PaxRecord>& xattrs() const noexcept { return xattrs_; }
  /// LIBARCHIVE.xattr.*, the prefix cut off, name and value still encoded.
  const std::vector<PaxRecord>& encoded_xattrs() const noexcept { return encoded_xattrs_; }
  /// GNU.sparse.offset and GNU.sparse.numbytes in order.
  const std::vector<PaxRecord>& sparse_pairs() const noexcept { return sparse_pairs_; }
  const std::vector<PaxRecord>& others() const noexcept { return others_; }

  /// Whether a keyword belongs to one file, so that a global record of it can't be meant.
  static bool is_of_one_file(std::string_view key) noexcept;

 private:
  std::array<std::string_view, static_cast<std::size_t>(PaxKey::count)> known_{};
  std::vector<PaxRecord> xattrs_;
  std::vector<PaxRecord> encoded_xattrs_;
  std::vector<PaxRecord> sparse_pairs_;
  std::vector<PaxRecord> others_;
};

}  // namespace strata::detail
