#include "store/layer_draft.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/kept_blob.hpp"
#include "store/lease.hpp"
#include "store/tag.hpp"
#include "store/tree_entries.hpp"

#include <algorithm>
#include <iterator>

namespace strata::detail {

namespace {

FileDescriptor open_child(int dir, const std::string& name) {
  FileDescriptor fd(sys::openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!fd) throw_errno(errno, "open the directory", quoted(name));
  return fd;
}

void tell(const Control& control, Progress::Phase phase, const Layer& layer) {
  if (control.stop.stop_requested()) throw_error(errc::cancelled, "store the layer", layer.id.to_string());
  if (control.observer)
    control.observer({.phase = phase,
                      .bytes = layer.blob_size,
                      .total_bytes = layer.blob_size,
                      .tar_bytes = layer.tar_size,
                      .entries = layer.entries});
}

}  // namespace

LayerDraft::LayerDraft(const StoreCore& core, Conformance conformance, Owners owners, const Budget& budget,
                       Report& report, SpareDrafts* spare)
    : core_(core), report_(report), draft_(spare ? spare->take(core) : DraftHandle(new Draft(core))) {
  options_.form = core.form();
  options_.conformance = conformance;
  options_.owners = owners;
  options_.budget = budget;
}

void LayerDraft::keep_by(const Lease* lease, std::string tag) {
  if (!tag.empty()) check_tag_name(tag);
  lease_ = lease;
  tag_ = std::move(tag);
}

void LayerDraft::open(bool umask_is_zero, unsigned writers) {
  const int dir = draft_->descriptor();
  make_directory(dir, "tree");
  tree_ = open_child(dir, "tree");
  make_directory(tree_.get(), "fs");
  fs_ = open_child(tree_.get(), "fs");
  FileDescriptor recipe(sys::openat(tree_.get(), "recipe", O_WRONLY | O_CREAT | O_EXCL, 0600));
  if (!recipe) throw_errno(errno, "create", "the recipe");
  recipe_file_.emplace(std::move(recipe), "the recipe");
  recipe_.emplace(*recipe_file_);
  options_.umask_is_zero = umask_is_zero;
  options_.writers = writers;
  builder_.emplace(fs_.get(), tree_.get(), options_, report_);
}

void LayerDraft::name_layer(const std::optional<Layer>& parent, const Digest& diff_id) {
  parent_ = parent;
  if (parent_) layer_.parent = parent_->id;
  layer_.id = chain_id(layer_.parent, diff_id);
  layer_.diff_ids = parent_ ? parent_->diff_ids : std::vector<Digest>();
  layer_.diff_ids.push_back(diff_id);
}

void LayerDraft::settle_tree(const Digest& key, bool root_listed) {
  layer_.trees = parent_ ? parent_->trees : std::vector<Digest>();
  layer_.trees.push_back(key);
  layer_.root_tree = root_listed ? static_cast<int>(layer_.trees.size()) - 1 : parent_ ? parent_->root_tree : -1;
}

void LayerDraft::settle(const std::optional<Layer>& parent, const std::vector<boost::filesystem::path>& lowers,
                        const Digest& diff_id, const Control& control) {
  name_layer(parent, diff_id);
  tell(control, Progress::Phase::resolving, layer_);
  existed_ = find_stored();
  if (existed_) return;
  seal(lowers, diff_id);
  write_record(control);
}

Digest LayerDraft::rebuild(const std::optional<Layer>& parent, const std::vector<boost::filesystem::path>& lowers,
                           const Digest& diff_id) {
  name_layer(parent, diff_id);
  seal(lowers, diff_id);
  return layer_.tree();
}

/// The tree, resolved and complete, with all that it says of itself.
void LayerDraft::seal(const std::vector<boost::filesystem::path>& lowers, const Digest& diff_id) {
  const bool self_contained = builder_->self_contained();
  builder_->resolve(lowers.empty()
                        ? MergedView()
                        : MergedView(lowers, MergedView::marks_of(core_.form()), MergedView::Opening::as_needed));
  const bool resolved = builder_->depends_on_lower();
  const Digest key = resolved ? resolved_tree_key(core_, layer_.parent, diff_id) : diff_id;
  settle_tree(key, builder_->root_listed());
  builder_->seal(TreeBuilder::Marks::written);
  layer_.size = builder_->content_bytes();
  layer_.entries = builder_->entries();
  const TreeRecord record{.diff_id = diff_id,
                          .size = layer_.size,
                          .tar_size = layer_.tar_size,
                          .entries = layer_.entries,
                          .root_listed = builder_->root_listed(),
                          .self_contained = self_contained,
                          .as_listed = builder_->as_listed()};
  write_small_file(tree_.get(), "tree.json", to_json(record));
  if (!record.as_listed) write_tree_entries(tree_.get(), builder_->copied());
  if (!builder_->moved().empty()) write_small_file(tree_.get(), "moved", encode_moved(builder_->moved()));
  if (!builder_->missing().empty()) {
    Moved missing;
    for (const std::string& path : builder_->missing())
      missing.emplace_back(static_cast<std::uint32_t>(missing.size()), path);
    write_small_file(tree_.get(), "missing", encode_moved(missing));
  }
  // Others may settle before this one is placed: what they don't need goes.
  builder_.reset();
  recipe_.reset();
  recipe_file_.reset();
  fs_.reset();
}

/// Whether the layer is there already; then it is that one. One whose record is damaged is made anew.
bool LayerDraft::find_stored() {
  blob_ = layer_.blob;
  std::optional<Layer> stored = core_.find_undamaged(layer_.id);
  if (stored) layer_ = *std::move(stored);
  return stored.has_value();
}

/// False: another writer's record is there.
bool LayerDraft::publish_record() {
  const std::string record = core_.layer_path(layer_.id);
  if (draft_->publish("layer", record)) return true;
  if (find_stored()) return false;
  draft_->exchange("layer", record);
  return true;
}

bool LayerDraft::settle_known(const std::optional<Layer>& parent, const Digest& diff_id, const Control& control) {
  name_layer(parent, diff_id);
  existed_ = find_stored();
  if (existed_) return true;
  const FileDescriptor tree =
      try_open_beneath(core_.root_descriptor(), core_.tree_path(diff_id), O_RDONLY | O_DIRECTORY);
  const auto record = tree ? find_tree_record(tree.get()) : std::nullopt;
  if (!record || !record->self_contained) return false;
  settle_tree(diff_id, record->root_listed);
  layer_.size = record->size;
  layer_.entries = record->entries;
  write_record(control);
  return true;
}

void LayerDraft::settle_stored(Layer layer) {
  layer_ = std::move(layer);
  existed_ = true;
}

/// The draft's note names the tree, so that a sweep finds one that was put in place and no layer came to use.
void LayerDraft::write_record(const Control& control) {
  const int dir = draft_->descriptor();
  make_directory(dir, "layer");
  const FileDescriptor layer = open_child(dir, "layer");
  write_small_file(layer.get(), "metadata.json", to_json(layer_));
  draft_->note_orphan(layer_.tree());
  tell(control, Progress::Phase::syncing, layer_);
}

FileSink LayerDraft::keep_blob() {
  FileDescriptor fd(sys::openat(draft_->descriptor(), "blob", O_WRONLY | O_CREAT | O_EXCL, 0600));
  if (!fd) throw_errno(errno, "create", "the kept blob");
  keeps_blob_ = true;
  return {std::move(fd), "the kept blob"};
}

/// For a layer that has its record: where another was first, that may name other bytes. What was kept before is
/// replaced, since these bytes are known to be right.
bool LayerDraft::place_blob() const {
  const std::optional<Layer> stored = keeps_blob_ ? core_.find_undamaged(layer_.id) : std::nullopt;
  if (!stored || stored->blob != blob_) return false;
  const std::string place = core_.blob_path(blob_);
  make_blob_rooms(core_, blob_);
  if (sys::renameat2(draft_->descriptor(), "blob", core_.root_descriptor(), place.c_str(), 0) != 0)
    throw_errno(errno, "keep the blob", quoted(place));
  return true;
}

boost::filesystem::path LayerDraft::tree_path() const {
  return (existed_ || !tree_ ? core_.tree_directory(layer_.tree()) : draft_->path() / "tree") / "fs";
}

/// `below`: the draft that is placed before this one.
void LayerDraft::check_needs(const LayerDraft* below) const {
  if (lease_) lease_->holder().check_there();
  if (existed_) return;
  const bool parent_comes = below && layer_.parent == below->layer_.id;
  if (layer_.parent && !parent_comes && !try_stat(core_.root_descriptor(), core_.layer_path(*layer_.parent)))
    throw_error(errc::not_found, "store the layer", layer_.id.to_string(),
                "its parent " + layer_.parent->to_string() + " was removed meanwhile");
  if (!tree_ && !try_stat(core_.root_descriptor(), core_.tree_path(layer_.tree())))
    throw_error(errc::not_found, "store the layer", layer_.id.to_string(), "its tree was removed meanwhile",
                "import it again");
}

/// Who finds a layer stored relies on it from then on as who has made it: its age counts anew.
void LayerDraft::touch() const {
  const timespec now[2] = {{.tv_sec = 0, .tv_nsec = UTIME_NOW}, {.tv_sec = 0, .tv_nsec = UTIME_NOW}};
  if (sys::utimensat(core_.root_descriptor(), core_.layer_path(layer_.id).c_str(), now, 0) == 0) return;
  if (errno == ENOENT)
    throw_error(errc::not_found, "store the layer", layer_.id.to_string(), "it was stored, and removed meanwhile",
                "import it again");
  throw_errno(errno, "store the layer", layer_.id.to_string());
}

void LayerDraft::keep() const {
  if (lease_) lease_->holder().place(layer_.id);
  if (!tag_.empty()) place_tag(core_, *draft_, tag_, layer_.id);
}

/// The records go in last, after their trees are there for good: they are what makes the layers exist. A record is in
/// the same directory as its parent's and renamed after it, so no journal has it without.
void LayerDraft::place(const StoreCore& core, std::span<LayerDraft* const> drafts, const Draft* keeper) {
  std::vector<LayerDraft*> fresh;
  std::ranges::copy_if(drafts, std::back_inserter(fresh), [](const LayerDraft* draft) { return !draft->existed_; });
  if (!fresh.empty() || std::ranges::any_of(drafts, &LayerDraft::keeps_blob_))
    drafts.front()->draft_->sync();  // all that is in the filesystem
  const Lock placing = core.lock(Lock::Kind::shared);
  const auto sync_room = [&](const char* room) {
    if (core.durability() == Durability::none) return;
    const std::string path = std::string(room) + "/" + std::string(core.hash().name);
    core.sync(open_beneath(core.root_descriptor(), path, O_RDONLY | O_DIRECTORY).get(), path);
  };
  // Before anything is in place: whether all will be.
  const LayerDraft* below = nullptr;
  for (const LayerDraft* draft : drafts) {
    draft->check_needs(below);
    below = draft;
  }
  for (const LayerDraft* draft : fresh)
    if (draft->tree_) draft->draft_->publish("tree", core.tree_path(draft->layer_.tree()));
  if (!fresh.empty()) sync_room("trees");
  for (LayerDraft* draft : drafts) {
    if (!draft->existed_) draft->existed_ = !draft->publish_record();
    if (draft->existed_) draft->touch();
  }
  if (!fresh.empty()) sync_room("layers");
  bool kept = false;
  for (const LayerDraft* draft : drafts) kept = draft->place_blob() || kept;
  if (kept) sync_room("blobs");
  for (const LayerDraft* draft : drafts) draft->keep();
  if (keeper) keeper->need_instead(drafts.front()->layer_.parent, drafts.back()->layer_.id);
  for (const LayerDraft* draft : fresh)
    if (!draft->existed_) draft->draft_->drop_notes();
}

}  // namespace strata::detail
