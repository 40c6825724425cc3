// What backends that are no unions keep of layers, in snapshots/BACKEND/ALGORITHM/HEX: a cache, which can be made anew.
#pragma once

#include "store/draft.hpp"

namespace strata::detail {

/// Moves what is kept of a layer into the draft, with which it goes. The caller holds the store's lock exclusively, and
/// knows that no container has the layer.
void take_snapshots(const StoreCore& core, const Draft& draft, const Digest& layer);

}  // namespace strata::detail
