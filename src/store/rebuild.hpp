// A tree made anew from its layer tar, beside the one that it is to replace.
#pragma once

#include <strata/verify.hpp>

#include "store/core.hpp"

namespace strata::detail {

/// Reads the layer's tar, or blob, into a draft, and exchanges the tree in it with the store's: in one step, on the
/// disk as the store's durability asks. Throws errc::digest_mismatch for what is another layer's, errc::in_use while
/// the tree is mounted; then, as after any other error, the store is as it was.
void rebuild_tree(const StoreCore& core, const Layer& layer, ByteSource& source, const RepairOptions& options);

}  // namespace strata::detail
