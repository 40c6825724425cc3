// The record of a layer, made again where it can't be read any more.
#pragma once

#include <strata/layer.hpp>

#include "store/core.hpp"

namespace strata::detail {

/// Whether a layer is there whose record is of no use.
bool has_unreadable_record(const StoreCore& core, const Digest& id);

/// Whether a layer with such a record stands on `parent`: its id says so, with the diff id of one of the store's trees.
bool is_child(const StoreCore& core, const Digest& id, const Digest& parent);

/// Finds the tree and the parent whose chain has this id, and puts the record that follows from them in place, by
/// rename. What they don't say (when and by whom the layer was made, which blob it came as) is taken from what the old
/// record still shows. Throws errc::damaged where no tree and parent fit.
Layer restore_record(const StoreCore& core, const Digest& id);

}  // namespace strata::detail
