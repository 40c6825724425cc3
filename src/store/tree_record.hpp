// What a tree says of itself: trees/KEY/tree.json.
#pragma once

#include <strata/digest.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace strata::detail {

struct TreeRecord {
  Digest diff_id;
  std::uint64_t size = 0;  ///< content of regular files, bytes
  std::uint64_t tar_size = 0;
  std::uint64_t entries = 0;
  bool root_listed = false;     ///< the tar has an entry for the root
  bool self_contained = false;  ///< it would be the same on any parent
  bool as_listed = false;       ///< it is what the entries of its tar say, one by one; else `entries` says what it is
};

std::string to_json(const TreeRecord& record);
/// Throws errc::damaged.
TreeRecord tree_record_from_json(std::string_view text);
/// nullopt: there is no such tree.
std::optional<TreeRecord> find_tree_record(int tree);

/// The key of a tree that was resolved against its chain.
class StoreCore;
Digest resolved_tree_key(const StoreCore& core, const std::optional<Digest>& parent, const Digest& diff_id);

}  // namespace strata::detail
