// A layer on its way into the store: its tree and record in a draft, published at the end. Import and commit fill it in
// two ways; from there on they are the same.
#pragma once

#include <strata/layer_store.hpp>

#include "store/draft.hpp"
#include "store/tree_record.hpp"
#include "tree/builder.hpp"
#include "tree/recipe.hpp"

#include <memory>
#include <optional>

namespace strata::detail {

class LayerDraft {
 public:
  /// `parent`: id, or none. Throws errc::not_found where it isn't stored.
  LayerDraft(const StoreCore& core, const std::optional<Digest>& parent, Conformance conformance, Owners owners,
             const Budget& budget, Report& report);

  /// Starts the tree. To be called in the thread that fills it; `writers` make files beside it.
  void open(bool umask_is_zero, unsigned writers = 0);
  TreeBuilder& builder() { return *builder_; }
  RecipeWriter& recipe() { return *recipe_; }
  const std::optional<Layer>& parent() const { return parent_; }

  /// What publish() can't know by itself: digests, sizes and texts of the layer.
  Layer& layer() { return layer_; }
  /// After builder and recipe are finished: resolves, seals, syncs, and puts tree and record in place. `layer()` needs
  /// its diff_ids' last element only. Returns whether the layer was there already.
  bool publish(const Digest& diff_id, const Control& control);
  /// Publishes a record for a tree that the store has. False where that tree can't serve.
  bool publish_known(const Digest& diff_id, const Control& control, bool& existed);

 private:
  void name_layer(const Digest& diff_id);
  bool place_record(const Control& control);
  void settle_tree(const Digest& key, bool root_listed);

  const StoreCore& core_;
  std::optional<Layer> parent_;
  BuilderOptions options_;
  Report& report_;
  Draft draft_;
  Layer layer_;
  FileDescriptor tree_, fs_, kept_;
  std::optional<FileSink> recipe_file_;
  std::optional<RecipeWriter> recipe_;
  std::optional<TreeBuilder> builder_;
};

}  // namespace strata::detail
