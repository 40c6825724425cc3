// What one layer may use of the machine that reads it. A layer from a stranger can be small and unpack to terabytes, to
// millions of files, to names that fill memory: a budget is checked while the stream comes, before what would exceed it
// is written, and a layer that does is refused with errc::limit_exceeded, nothing left behind.
//
//   store.import(source, {.budget = {.file_bytes = 1 << 30, .entries = 100'000}});
#pragma once

#include <strata/export.hpp>

#include <cstdint>
#include <span>
#include <string_view>

namespace strata {

/// Each limit is the largest value that passes. The defaults are beyond what images have (docs/semantics.md,
/// "Budgets").
struct Budget {
  /// As any limit: there is none but the filesystem's and the format's own.
  static constexpr std::uint64_t unlimited = ~std::uint64_t{0};

  /// Bytes of the uncompressed tar, what follows its end included. The largest layers, model weights, have some 50 GB.
  std::uint64_t tar_bytes = std::uint64_t{64} << 30;
  /// Bytes of content that the layer has files written, holes left out; of a file that a later entry replaces too,
  /// since a store keeps it; and of lower files that a hardlink brings into the tree.
  std::uint64_t file_bytes = std::uint64_t{64} << 30;
  /// The same with holes: what a program would have to read or write that knows nothing of them. A /var/log/lastlog
  /// in which the highest of all uids has logged in has 1.2 TB.
  std::uint64_t apparent_bytes = std::uint64_t{4} << 40;
  /// Entries, and likewise names: an entry a/b/c of which a and b have no entry makes three. A root filesystem has some
  /// 100,000, and an ext4 of 64 GiB can't hold more than 4 million.
  std::uint64_t entries = 4'000'000;
  /// Memory for the names, link targets and directories of the layer, which are kept until its end: of files about 65
  /// bytes each with names as Debian has them, so that 64 MiB are about a million. Growing takes half of it again for a
  /// moment.
  std::uint64_t memory = std::uint64_t{512} << 20;
  /// Names in a path, also where symlinks lead it. Nested packages of node.js reach some tens.
  std::uint64_t depth = 1024;
  /// Bytes of one name. No filesystem of Linux takes more than 255, whatever is said here.
  std::uint64_t name_bytes = 255;
  /// Bytes of a path, and of the target of a link. The kernel takes no more than 4,095, whatever is said here.
  std::uint64_t path_bytes = 4095;
  /// Bytes of the extended attributes of one entry, names and values. Linux takes 64 KiB a value, ext4 4 KiB in all.
  std::uint64_t entry_xattr_bytes = std::uint64_t{256} << 10;
  /// The same of the whole layer. Signatures (security.ima) have some 500 bytes a file.
  std::uint64_t xattr_bytes = std::uint64_t{256} << 20;
  /// Bytes of the tar for each byte of the compressed stream, looked at from the beginning to where the stream is. What
  /// files are made of gives 2 to 20. Zeros give 1,000 with gzip and 30,000 with zstd, so a layer that begins with more
  /// zeros than `ratio_from` (a disk image, a preallocated database) needs another limit, and so does a bomb.
  std::uint64_t ratio = 200;
  /// Bytes of the tar up to which `ratio` isn't looked at.
  std::uint64_t ratio_from = std::uint64_t{256} << 20;

  /// A budget in which every limit is `unlimited`.
  STRATA_API static Budget none() noexcept;
};

/// A limit as messages and command lines name it.
struct BudgetLimit {
  std::string_view name;  ///< "file_bytes": as the member
  std::uint64_t Budget::*value;
  bool bytes;  ///< it counts bytes
};

/// All of them, in the order of the members.
STRATA_API std::span<const BudgetLimit> budget_limits() noexcept;

}  // namespace strata
