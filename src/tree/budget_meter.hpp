// What a layer has used of its budget so far, entry by entry.
#pragma once

#include <strata/budget.hpp>
#include <strata/tar.hpp>

#include "tree/entry_path.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace strata::detail {

/// Each call throws errc::limit_exceeded, naming the limit and the entry, where it would exceed the budget.
class BudgetMeter {
 public:
  explicit BudgetMeter(const Budget& budget) : budget_(budget) {}

  /// The next entry, before anything is done about it.
  void entry(const TarEntry& entry, const EntryPath& path);
  /// How deep a directory lies that symlinks may have led to, "a/b/c"; `holds`: something is in it.
  void depth(std::string_view directory, bool holds) const;
  /// Content that becomes part of the tree: of an entry, or of a lower file that the layer links to.
  void content(const std::string& path, std::uint64_t stored, std::uint64_t apparent);
  /// What the layer's names take by now.
  void memory(std::uint64_t bytes, const std::string& path) const;

 private:
  void names(const TarEntry& entry, const EntryPath& path) const;
  void xattrs(const TarEntry& entry);

  Budget budget_;
  std::uint64_t entries_ = 0;
  std::uint64_t stored_ = 0;
  std::uint64_t apparent_ = 0;
  std::uint64_t xattr_bytes_ = 0;
};

}  // namespace strata::detail
