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
#include <span>
#include <vector>

namespace strata::detail {

class LayerDraft {
 public:
  /// `spare`: where its draft comes from, and goes back to when it is done with.
  LayerDraft(const StoreCore& core, Conformance conformance, Owners owners, const Budget& budget, Report& report,
             SpareDrafts* spare = nullptr);
  /// What is to keep the layer from the moment that it is in place.
  void keep_by(const Lease* lease, std::string tag);
  /// What it relies on until then (Draft::need).
  void need(const Digest& layer) const { draft_->need(layer); }

  /// Starts the tree. To be called in the thread that fills it; `writers` make files beside it.
  void open(bool umask_is_zero, unsigned writers = 0);
  TreeBuilder& builder() { return *builder_; }
  RecipeWriter& recipe() { return *recipe_; }

  /// What publish() can't know by itself: digests, sizes and texts of the layer.
  Layer& layer() { return layer_; }
  /// After builder and recipe are finished: names the layer, resolves its tree against `lowers` (topmost first; the
  /// parent's chain, wherever its trees are now), seals it, and writes its record; all in the draft. Nothing but
  /// place() is left to do after it, and not even that where the layer is stored already.
  void settle(const std::optional<Layer>& parent, const std::vector<boost::filesystem::path>& lowers,
              const Digest& diff_id, const Control& control);
  /// The same for a tree that the store has. False where that tree can't serve.
  bool settle_known(const std::optional<Layer>& parent, const Digest& diff_id, const Control& control);
  /// The same for a layer that is stored.
  void settle_stored(Layer layer);
  /// Builds and seals the tree alone, in `tree` of draft(), for a layer that is stored. Returns its key.
  Digest rebuild(const std::optional<Layer>& parent, const std::vector<boost::filesystem::path>& lowers,
                 const Digest& diff_id);
  const Draft& draft() const { return *draft_; }
  /// Where the layer's blob is to be written as it comes; place() puts it into blobs/ with the layer.
  FileSink keep_blob();
  bool existed() const { return existed_; }
  /// The settled tree, where it is now: the store's own, or in the draft until that is placed.
  boost::filesystem::path tree_path() const;

  /// Syncs the settled drafts, as the store's durability asks, and puts their trees and records in place, in this
  /// order: each is the parent of the next, or of no other here. Leases and tags get them in the same moment. Throws
  /// errc::not_found where what they need was removed. `keeper` keeps the last of them.
  static void place(const StoreCore& core, std::span<LayerDraft* const> drafts, const Draft* keeper = nullptr);

 private:
  void name_layer(const std::optional<Layer>& parent, const Digest& diff_id);
  void write_record(const Control& control);
  void check_needs(const LayerDraft* below) const;
  bool find_stored();
  void touch() const;
  void keep() const;
  bool publish_record();
  void settle_tree(const Digest& key, bool root_listed);
  void seal(const std::vector<boost::filesystem::path>& lowers, const Digest& diff_id);
  bool place_blob() const;

  const StoreCore& core_;
  std::optional<Layer> parent_;
  BuilderOptions options_;
  Report& report_;
  DraftHandle draft_;
  Layer layer_;
  FileDescriptor tree_, fs_;
  std::optional<FileSink> recipe_file_;
  std::optional<RecipeWriter> recipe_;
  std::optional<TreeBuilder> builder_;
  const Lease* lease_ = nullptr;
  std::string tag_;
  bool existed_ = false;
  bool keeps_blob_ = false;
  Digest blob_;  ///< of the stream, also where the layer was there before
};

}  // namespace strata::detail
