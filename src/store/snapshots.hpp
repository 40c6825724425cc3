// What backends that are no unions keep of layers, in snapshots/BACKEND/ALGORITHM/HEX: a cache, which can be made anew.
#pragma once

#include "store/draft.hpp"

#include <vector>

namespace strata::detail {

/// A container that a backend keeps on a device of its own has the record of it in its work directory, and what is in
/// its upper counts only while that is mounted there.
inline constexpr const char* device_record = "device.json";

/// The layers of which something is kept, whether they are there themselves or not. Each once.
std::vector<Digest> layers_with_snapshots(const StoreCore& core);

/// Moves what is kept of a layer into the draft, with which it goes. The caller sees to it that none is made meanwhile.
void take_snapshots(const StoreCore& core, const Draft& draft, const Digest& layer);

}  // namespace strata::detail
