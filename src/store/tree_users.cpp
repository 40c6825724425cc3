#include "store/tree_users.hpp"

#include <strata/error.hpp>

#include "mount/container_mounts.hpp"
#include "store/snapshots.hpp"
#include "store/translations.hpp"

#include <algorithm>

namespace strata::detail {

std::vector<LockedContainer> unmounted_containers(const StoreCore& core, const Digest& tree, Users users) {
  std::vector<LockedContainer> locked;
  for (const Container& one : core.containers()) {
    if (one.whole || (users == Users::translated && !one.form)) continue;  // a whole one has copies
    const Layer layer = core.get(one.layer);
    if (std::ranges::find(layer.trees, tree) == layer.trees.end()) continue;
    auto container = LockedContainer::open(core, one.name);
    if (!container) continue;
    if (const std::string place = ContainerMounts(core, one.name, false).place(); !place.empty())
      throw_error(errc::in_use, "replace the tree", tree.to_string(),
                  "container " + quoted(one.name) + " is mounted " + place, "unmount it first");
    locked.push_back(std::move(*container));
  }
  return locked;
}

void take_made_of(const StoreCore& core, const Draft& draft, const Digest& tree) {
  take_translations(core, draft, tree);
  for (const Layer& layer : core.list())
    if (std::ranges::find(layer.trees, tree) != layer.trees.end()) take_snapshots(core, draft, layer.id);
}

}  // namespace strata::detail
