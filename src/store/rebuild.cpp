#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/layer_draft.hpp"
#include "store/layer_extract.hpp"
#include "store/operations.hpp"
#include "store/tree_users.hpp"

#include <algorithm>

namespace strata::detail {

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
  const std::vector<LockedContainer> unmounted = unmounted_containers(core, layer.tree(), Users::all);
  if (!core.find(layer.id)) throw_error(errc::not_found, "repair", layer.id.to_string(), "it was removed meanwhile");
  take_made_of(core, draft.draft(), layer.tree());
  if (const std::string place = core.tree_path(layer.tree()); !draft.draft().publish("tree", place))
    draft.draft().exchange("tree", place);
  const std::string room = "trees/" + std::string(layer.tree().algorithm());
  core.sync(open_beneath(core.root_descriptor(), room, O_RDONLY | O_DIRECTORY).get(), room);
}

}  // namespace strata::detail
