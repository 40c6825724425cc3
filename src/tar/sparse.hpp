// Sparse maps, in the forms that are found: the tables of old GNU and star headers, the PAX records of GNU 0.0 and 0.1,
// and the text that GNU 1.0 puts before the data.
#pragma once

#include <strata/tar.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// Collects the extents of one file and checks them. Everything throws Malformed.
class SparseMap {
 public:
  /// Empties `into` and fills it.
  SparseMap(std::vector<SparseExtent>& into, std::uint64_t limit) : extents_(into), limit_(limit) { into.clear(); }

  /// nullopt is what could not be parsed. Extents without data only have to be in order.
  void add(std::optional<std::int64_t> offset, std::optional<std::int64_t> size);
  /// A header's table: pairs of 12-byte numbers, up to the first that is not used.
  void add_table(std::string_view table);
  /// "OFFSET,SIZE,OFFSET,SIZE…" of GNU 0.1. `blocks`: the number of pairs that the header promises.
  void add_text(std::string_view text, std::optional<std::int64_t> blocks);
  /// Once all are there.
  void check(std::uint64_t file_size, std::uint64_t stored_size) const;

 private:
  std::vector<SparseExtent>& extents_;
  std::uint64_t limit_;
  std::uint64_t count_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t data_ = 0;
};

/// The map of GNU 1.0, as it arrives: the number of extents, then an offset and a size for each, all decimal and ended
/// by a newline.
class SparseTextParser {
 public:
  explicit SparseTextParser(SparseMap& map) noexcept : map_(map) {}
  bool done() const noexcept { return numbers_left_ == 0; }
  /// Takes what belongs to the map; returns how much that was.
  std::size_t take(std::span<const std::byte> bytes);

 private:
  void number(std::int64_t value);

  SparseMap& map_;
  std::optional<std::int64_t> value_;
  std::optional<std::int64_t> offset_;
  std::uint64_t numbers_left_ = 1;
  bool counted_ = false;
};

/// The map of GNU 1.0 as it stands in an archive: padded to whole blocks.
std::string format_sparse_text(std::span<const SparseExtent> extents, std::uint64_t file_size);

}  // namespace strata::detail
