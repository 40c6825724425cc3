#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/draft.hpp"
#include "store/operations.hpp"
#include "tree/directory.hpp"

namespace strata::detail {

void remove_layer(const StoreCore& core, const Digest& id) {
  sweep_drafts(core);
  const Layer layer = core.get(id);
  const std::string record = "layers/" + std::string(id.algorithm()) + "/" + id.hex();
  const Digest& key = layer.tree();
  const Draft draft(core);  // what is taken out of the store goes with it
  {
    const Lock alone = core.lock(Lock::Kind::exclusive);
    std::string users;
    bool tree_shared = false;
    for (const Layer& other : core.list()) {
      if (other.parent == id) users += (users.empty() ? "layer " : ", layer ") + other.id.to_string();
      tree_shared = tree_shared || (other.id != id && other.tree() == key);
    }
    for (const Container& container : core.containers())
      if (container.layer == id) users += (users.empty() ? "container " : ", container ") + quoted(container.name);
    if (!users.empty())
      throw_error(errc::in_use, "remove the layer", id.to_string(), "needed by " + users, "remove what needs it first");
    write_small_file(draft.descriptor(), "orphan", key.to_string());
    if (core.durability() == Durability::full) sync_directory(draft.descriptor(), "staging");
    draft.take(record, "layer");
    if (core.durability() == Durability::full) {  // before the tree goes: no power cut leaves a record without one
      const FileDescriptor layers = open_directory(core.root() / "layers" / std::string(id.algorithm()));
      sync_directory(layers.get(), "layers");
    }
    if (!tree_shared) draft.take("trees/" + std::string(key.algorithm()) + "/" + key.hex(), "tree");
  }
}

}  // namespace strata::detail
