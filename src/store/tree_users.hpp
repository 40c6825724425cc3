// What hangs on a tree besides layers: containers that have it mounted, and what was made of it.
#pragma once

#include "mount/container_directory.hpp"
#include "store/draft.hpp"

#include <vector>

namespace strata::detail {

enum class Users {
  all,         ///< unions that have the tree, or a translation of it, among their lowers
  translated,  ///< those that have a translation
};

/// The containers that have a tree so, locked so that none of them can be mounted. Throws errc::in_use where one is.
std::vector<LockedContainer> unmounted_containers(const StoreCore& core, const Digest& tree, Users users);

/// Moves all that was made of a tree (translations, snapshots of layers that have it) into the draft, with which it
/// goes: it would keep what is wrong with the tree. It is made anew when it is wanted. Containers of their own are
/// left.
void take_made_of(const StoreCore& core, const Draft& draft, const Digest& tree);

}  // namespace strata::detail
