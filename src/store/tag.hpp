// tags/NAME, '/' as %2F: a file with the id of a layer.
#pragma once

#include <strata/tag.hpp>

#include "store/draft.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace strata::detail {

/// Checks the layer and sets the tag, by rename.
void set_tag(const StoreCore& core, std::string_view name, const Digest& layer);
/// The same for a caller who holds the store's lock shared, and knows that the layer is there.
void place_tag(const StoreCore& core, const Draft& draft, std::string_view name, const Digest& layer);
void remove_tag(const StoreCore& core, std::string_view name);
/// Throws errc::damaged for one that can't be read.
std::vector<Tag> list_tags(const StoreCore& core);
std::optional<Digest> find_tag(const StoreCore& core, std::string_view name);

}  // namespace strata::detail
