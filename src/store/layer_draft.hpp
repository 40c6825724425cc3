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
  LayerDraft(const StoreCore& core, Conformance conformance, Owners owners, const Budget& budget, Report& report);

  /// Starts the tree. To be called in the thread that fills it; `writers` make files beside it.
  void open(bool umask_is_zero, unsigned writers = 0);
  TreeBuilder& builder() { return *builder_; }
  RecipeWriter& recipe() { return *recipe_; }

  /// What publish() can't know by itself: digests, sizes and texts of the layer.
  Layer& layer() { return layer_; }
  /// After builder and recipe are finished: resolves, seals, syncs, and puts tree and record in place. Returns whether
  /// the layer was there already. Throws errc::not_found where the parent isn't stored any more.
  bool publish(const std::optional<Layer>& parent, const Digest& diff_id, const Control& control);
  /// Publishes a record for a tree that the store has. False where that tree can't serve.
  bool publish_known(const std::optional<Layer>& parent, const Digest& diff_id, const Control& control, bool& existed);

 private:
  void name_layer(const std::optional<Layer>& parent, const Digest& diff_id);
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
