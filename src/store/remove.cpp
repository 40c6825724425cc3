#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/draft.hpp"
#include "store/image_record.hpp"
#include "store/operations.hpp"
#include "store/restore_record.hpp"
#include "store/roots.hpp"
#include "store/snapshots.hpp"
#include "store/translations.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <optional>

namespace strata::detail {

void remove_layer(const StoreCore& core, const Digest& id) {
  sweep_drafts(core);
  const Layer layer = core.get(id);
  const Digest& key = layer.tree();
  const Draft draft(core);  // what is taken out of the store goes with it
  {
    const Lock alone = core.lock(Lock::Kind::exclusive);
    std::string users;
    const auto add_user = [&](const std::string& user) { users += (users.empty() ? "" : ", ") + user; };
    std::vector<Digest> damaged;
    const std::vector<Layer> layers = core.list(&damaged);
    // What a record that can't be read has, nobody knows; whose child it is, its id tells.
    for (const Digest& child : damaged)
      if (child != id && is_child(core, child, id))
        add_user("layer " + child.to_string() + ", whose record can't be read");
    bool tree_shared = !damaged.empty(), blob_shared = tree_shared;
    for (const DraftNeeds& needs : needs_of_drafts(core)) tree_shared = tree_shared || needs.tree == key;
    for (const Layer& other : layers) {
      if (other.parent == id) add_user("layer " + other.id.to_string());
      // Of all its trees: the record of the layer below it that has this one may be damaged.
      tree_shared = tree_shared || (other.id != id && std::ranges::find(other.trees, key) != other.trees.end());
      blob_shared = blob_shared || (other.id != id && other.blob == layer.blob);
    }
    std::vector<Digest> unreadable;
    for (const ImageRecord& image : image_records(core, unreadable)) {
      if (image.layer == id) add_user("image " + image.digest.to_string());
      blob_shared = blob_shared || std::ranges::find(image.blobs, layer.blob) != image.blobs.end();
    }
    for (const Digest& image : unreadable) add_user("image " + image.to_string() + ", whose record can't be read");
    for (const Root& root : roots_of(core))
      if (root.layer == id) add_user(root.what);
    if (!users.empty())
      throw_error(errc::in_use, "remove the layer", id.to_string(), "needed by " + users, "remove what needs it first");
    draft.note_orphan(key);
    if (!blob_shared) draft.note_orphan_blob(layer.blob);
    draft.sync_notes();
    draft.take(core.layer_path(id), "layer");
    try {
      // Before the tree goes: no power cut leaves a record without one.
      core.sync(open_directory(core.root() / "layers" / std::string(id.algorithm())).get(), "layers");
      take_snapshots(core, draft, id);
      if (!tree_shared) {
        draft.take(core.tree_path(key), "tree");
        take_translations(core, draft, key);
      }
      if (!blob_shared) draft.take(core.blob_path(layer.blob), "blob");
    } catch (...) {
      draft.put_back("tree", core.tree_path(key));  // nobody has seen them gone, since the lock is held
      draft.put_back("layer", core.layer_path(id));
      throw;
    }
    draft.drop_notes();
  }
}

}  // namespace strata::detail
