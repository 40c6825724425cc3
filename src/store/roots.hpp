// What keeps layers: containers, leases, tags, and what running imports and commits rely on.
#pragma once

#include <strata/digest.hpp>

#include "store/core.hpp"

#include <string>
#include <vector>

namespace strata::detail {

struct Root {
  std::string what;  ///< for messages: "container 'web'"
  Digest layer;
};

/// Those of this moment. With the store's lock held exclusively, none is added meanwhile. Throws errc::damaged where
/// one can't be read: it may be about any layer.
std::vector<Root> roots_of(const StoreCore& core);
/// The same but tags: what uses layers, and doesn't only name them.
std::vector<Root> users_of(const StoreCore& core);

}  // namespace strata::detail
