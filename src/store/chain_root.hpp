// The root directory of a chain: whose attributes it has.
#pragma once

#include <strata/layer.hpp>

#include "diff/changes.hpp"
#include "store/core.hpp"

namespace strata::detail {

/// Attributes of the topmost tree whose tar lists the root; where none does, 0755, owner root (an ordinary user:
/// himself) and no time of its own.
RootAttributes chain_root(const StoreCore& core, const Layer& layer);

}  // namespace strata::detail
