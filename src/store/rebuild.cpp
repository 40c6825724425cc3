#include <strata/error.hpp>

#include "base/files.hpp"
#include "mount/container_directory.hpp"
#include "mount/container_mounts.hpp"
#include "store/layer_draft.hpp"
#include "store/layer_extract.hpp"
#include "store/operations.hpp"
#include "store/translations.hpp"

#include <algorithm>

namespace strata::detail {

namespace {

/// The containers that have a tree among their lowers, locked so that none of them can be mounted. Throws errc::in_use
/// where one is.
std::vector<LockedContainer> unmounted_containers(const StoreCore& core, const Digest& tree) {
  std::vector<LockedContainer> locked;
  for (const Container& one : core.containers()) {
    const Layer layer = core.get(one.layer);
    if (std::ranges::find(layer.trees, tree) == layer.trees.end()) continue;
    auto container = LockedContainer::open(core, one.name);
    if (!container) continue;
    // A whole one only reads its layers, while it is made and locked.
    if (const std::string place = ContainerMounts(core, one.name, false).place(); !place.empty())
      throw_error(errc::in_use, "replace the tree", tree.to_string(),
                  "container " + quoted(one.name) + " is mounted " + place, "unmount it first");
    locked.push_back(std::move(*container));
  }
  return locked;
}

}  // namespace

void rebuild_tree(const StoreCore& core, const Layer& layer, ByteSource& source, const RepairOptions& options) {
  const std::optional<Layer> parent = layer.parent ? std::optional(core.get(*layer.parent)) : std::nullopt;
  const auto lowers = parent ? core.lowers(*parent) : std::vector<boost::filesystem::path>();
  Budget budget = Budget::none();
  budget.tar_bytes = layer.tar_size;
  Report report;
  LayerDraft draft(core, Conformance::compat, options.owners, budget, report);
  LayerStream stream(source, core.hash(), core.codecs(), options.control, budget);
  with_zero_umask([&](bool umask_is_zero) {
    draft.open(umask_is_zero, writers_for(stream));
    ExtractOptions extract;
    extract.expected_diff_id = layer.diff_id();
    extract.budget = budget;
    draft.layer().tar_size =
        extract_layer(stream, draft.builder(), &draft.recipe(), extract, options.control, report).tar_size;
    if (draft.rebuild(parent, lowers, layer.diff_id()) != layer.tree())
      throw_error(errc::damaged, "make anew", "the tree of " + layer.id.to_string(),
                  "on the layers below it comes out as another", "repair those first");
  });
  // What it took from below would be taken for right from then on.
  if (layer.tree() != layer.diff_id())
    for (auto below = parent; below; below = below->parent ? std::optional(core.get(*below->parent)) : std::nullopt)
      if (!verify_layer(core, below->id, {.level = VerifyLevel::full, .control = options.control}).ok())
        throw_error(errc::damaged, "make anew", "the tree of " + layer.id.to_string(),
                    "the layer " + below->id.to_string() + " below it is damaged", "repair that first");
  draft.draft().sync();
  const Lock alone = core.lock(Lock::Kind::exclusive);
  const std::vector<LockedContainer> unmounted = unmounted_containers(core, layer.tree());
  if (!core.find(layer.id)) throw_error(errc::not_found, "repair", layer.id.to_string(), "it was removed meanwhile");
  take_translations(core, draft.draft(), layer.tree());
  if (const std::string place = core.tree_path(layer.tree()); !draft.draft().publish("tree", place))
    draft.draft().exchange("tree", place);
  const std::string room = "trees/" + std::string(layer.tree().algorithm());
  core.sync(open_beneath(core.root_descriptor(), room, O_RDONLY | O_DIRECTORY).get(), room);
}

}  // namespace strata::detail
