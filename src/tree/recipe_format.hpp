// What the writer and the reader of recipes agree on; docs/format.md has the grammar.
#pragma once

#include <cstddef>
#include <string_view>

namespace strata::detail {

inline constexpr std::string_view recipe_magic = "strata recipe 1\n";
inline constexpr std::size_t checksum_size = 8;

/// What helps where a tree is not what was stored.
inline constexpr const char* repair_remedy = "verify the layer, and repair it";

}  // namespace strata::detail
