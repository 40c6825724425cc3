#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/download.hpp"
#include "store/draft.hpp"
#include "store/image_record.hpp"
#include "store/lease.hpp"
#include "store/operations.hpp"
#include "store/roots.hpp"
#include "store/snapshots.hpp"
#include "store/tag.hpp"
#include "store/translations.hpp"
#include "store/usage.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

namespace strata::detail {

namespace {

/// All records of the store. Reading them takes long, so it is done before the lock is taken, and what has come since
/// then, or in the place of another, under it: a file that is a record never changes.
class Records {
 public:
  void read(const StoreCore& core, const Control& control) {
    std::map<Digest, Layer> now;
    std::map<Digest, Stamp> stamps;
    unreadable_.clear();
    for (const Digest& id : core.ids()) {
      if (control.stop.stop_requested()) throw_error(errc::cancelled, "collect garbage", {});
      const Stamp stamp = stamp_of(core, id);
      stamps[id] = stamp;
      if (const auto known = layers_.find(id); known != layers_.end() && stamps_[id] == stamp) {
        now.insert(layers_.extract(known));
        continue;
      }
      try {
        if (auto layer = core.find(id)) now.emplace(id, *std::move(layer));
      } catch (const Error& error) {
        if (error.code() != errc::damaged) throw;
        unreadable_.push_back(id);
      }
    }
    layers_ = std::move(now);
    stamps_ = std::move(stamps);
  }
  const std::map<Digest, Layer>& layers() const { return layers_; }
  const std::vector<Digest>& unreadable() const { return unreadable_; }

 private:
  /// What tells a file from one that took its name.
  struct Stamp {
    ino_t inode = 0;
    Timestamp ctime;
    bool operator==(const Stamp&) const = default;
  };
  static Stamp stamp_of(const StoreCore& core, const Digest& id) {
    const auto found = try_stat(core.root_descriptor(), core.layer_path(id) + "/metadata.json");
    return found ? Stamp{.inode = found->inode, .ctime = found->ctime} : Stamp{};
  }

  std::map<Digest, Layer> layers_;
  std::map<Digest, Stamp> stamps_;
  std::vector<Digest> unreadable_;
};

bool is_younger(const StoreCore& core, const Digest& id, std::chrono::seconds age) {
  // time() may be a tick behind what the filesystem has just written (Linux 6.13: finer times of files).
  if (age.count() <= 0) return false;
  const auto record = try_stat(core.root_descriptor(), core.layer_path(id));
  return record && record->mtime.seconds > std::time(nullptr) - age.count();
}

/// What is needed: layers, trees, kept blobs.
class Needed {
 public:
  explicit Needed(const StoreCore& core) {
    for (const DraftNeeds& draft : needs_of_drafts(core))
      if (draft.tree) trees_.insert(*draft.tree);
  }
  /// A layer, if it is there, and those below it. Of one whose record can't be read, those above name the trees.
  void add_chain(const Records& records, const Digest& id) {
    for (auto layer = records.layers().find(id); layer != records.layers().end();) {
      if (!add(layer->second) || !layer->second.parent) return;
      layer = records.layers().find(*layer->second.parent);
    }
  }
  /// False: it is known already.
  bool add(const Layer& layer) {
    if (!layers_.insert(layer.id).second) return false;
    trees_.insert(layer.trees.begin(), layer.trees.end());
    blobs_.insert(layer.blob);
    return true;
  }
  void add_image(const Records& records, const ImageRecord& image) {
    add_chain(records, image.layer);
    blobs_.insert(image.blobs.begin(), image.blobs.end());
  }
  bool has_layer(const Digest& id) const { return layers_.contains(id); }
  bool has_tree(const Digest& key) const { return trees_.contains(key); }
  bool has_blob(const Digest& blob) const { return blobs_.contains(blob); }

 private:
  std::set<Digest> layers_, trees_, blobs_;
};

struct Unneeded {
  std::vector<Digest> trees, blobs;
  std::vector<std::string> translations;  ///< where they are, beneath the store's root
  std::vector<Digest> snapshots;          ///< ids of the layers
};

Unneeded find_unneeded(const StoreCore& core, const Needed& needed) {
  Unneeded found;
  for (const Digest& key : core.names_in("trees"))
    if (!needed.has_tree(key)) found.trees.push_back(key);
  for (const Digest& blob : core.names_in("blobs"))
    if (!needed.has_blob(blob)) found.blobs.push_back(blob);
  for (TranslatedTree& tree : translated_trees(core))
    if (!needed.has_tree(tree.key)) found.translations.push_back(std::move(tree.path));
  for (const Digest& layer : layers_with_snapshots(core))
    if (!needed.has_layer(layer)) found.snapshots.push_back(layer);
  return found;
}

/// What is garbage at this moment.
struct Garbage {
  GcResult& found;
  std::vector<std::string> names = {};  ///< tags of images that go, or are gone
  std::vector<std::string> translations = {};
  std::vector<Digest> snapshots = {};
};

/// Marks what images need, and finds those that go. A name is a root of its own only where it isn't theirs.
void find_images(const StoreCore& core, const Records& records, std::chrono::seconds min_age, Images images,
                 Needed& needed, Garbage& garbage) {
  const std::vector<TagRecord> tags = tag_records(core);
  const std::vector<Digest> all = image_ids(core);
  const std::set<Digest> there(all.begin(), all.end());
  std::set<Digest> named, gone;
  for (const TagRecord& tag : tags)
    if (tag.image) named.insert(*tag.image);
  for (const Container& container : core.containers())  // whoever commits one asks for its config
    if (container.image) named.insert(*container.image);
  for (const ImageRecord& image : image_records(core, garbage.found.unreadable)) {
    const bool wanted = images == Images::unused ? needed.has_layer(image.layer) : named.contains(image.digest);
    if (wanted || is_image_younger(core, image.digest, min_age))
      needed.add_image(records, image);
    else
      gone.insert(image.digest);
  }
  if (!garbage.found.unreadable.empty()) gone.clear();
  garbage.found.images.assign(gone.begin(), gone.end());
  // A removal that was interrupted leaves names of nothing.
  for (const TagRecord& tag : tags) {
    const bool goes = tag.image && (gone.contains(*tag.image) || !there.contains(*tag.image));
    goes ? garbage.names.push_back(tag.name) : needed.add_chain(records, tag.layer);
  }
}

/// The caller holds the store's lock exclusively.
void find_garbage(const StoreCore& core, const Records& records, std::chrono::seconds min_age, Images images,
                  Garbage& garbage) {
  GcResult& result = garbage.found;
  Needed needed(core);
  result.unreadable = records.unreadable();
  for (const Root& root : users_of(core)) needed.add_chain(records, root.layer);
  find_images(core, records, min_age, images, needed, garbage);
  for (const auto& [id, layer] : records.layers())
    if (is_younger(core, id, min_age)) needed.add_chain(records, id);
  for (const LeaseState& lease : list_leases(core))
    if (!lease.live) result.leases.push_back(lease.name);
  // What a record that can't be read needs, nobody knows: while there is one, all is needed.
  if (result.unreadable.empty())
    for (const auto& [id, layer] : records.layers())
      if (!needed.has_layer(id)) result.layers.push_back(id);
  // Those on top go first, so that at no moment one is without its parent.
  std::ranges::stable_sort(result.layers, std::ranges::greater(),
                           [&](const Digest& id) { return records.layers().at(id).diff_ids.size(); });
  Unneeded unneeded;
  if (result.unreadable.empty()) unneeded = find_unneeded(core, needed);
  result.trees = std::move(unneeded.trees);
  result.blobs = std::move(unneeded.blobs);
  garbage.translations = std::move(unneeded.translations);
  garbage.snapshots = std::move(unneeded.snapshots);
}

/// Names before what they name: what is interrupted leaves images without a name, which the next collection takes.
void take_images(const StoreCore& core, const Draft& draft, const Garbage& all) {
  for (std::size_t i = 0; i < all.names.size(); ++i) draft.take(tag_path(all.names[i]), "tag." + std::to_string(i));
  if (!all.names.empty()) sync_tags(core);
  std::set<std::string> rooms;
  for (const Digest& image : all.found.images) {
    draft.take(image_path(image), "image." + image.hex());
    rooms.insert("images/" + std::string(image.algorithm()));
  }
  for (const std::string& room : rooms)
    core.sync(open_beneath(core.root_descriptor(), room, O_RDONLY | O_DIRECTORY).get(), room);
}

std::string tree_in_draft(const Digest& key) { return "tree." + key.hex(); }
std::string blob_in_draft(const Digest& blob) { return "blob." + blob.hex(); }
std::string translation_in_draft(std::size_t number) { return "translation." + std::to_string(number); }

/// Moves the garbage into the draft. A crash leaves the draft, and perhaps trees and blobs that no layer has; the next
/// sweep and the next collection take those.
void take(const StoreCore& core, const Draft& draft, const Garbage& all) {
  const GcResult& garbage = all.found;
  for (const std::string& lease : garbage.leases) take_lease(core, draft, lease);
  take_images(core, draft, all);
  for (const Digest& id : garbage.layers) draft.take(core.layer_path(id), "layer." + id.hex());
  if (!garbage.layers.empty())  // before trees go: no power cut leaves a record without its tree
    core.sync(open_directory(core.root() / "layers" / std::string(core.hash().name)).get(), "layers");
  for (const Digest& id : all.snapshots) take_snapshots(core, draft, id);
  for (const Digest& key : garbage.trees) draft.take(core.tree_path(key), tree_in_draft(key));
  for (const Digest& blob : garbage.blobs) draft.take(core.blob_path(blob), blob_in_draft(blob));
  for (std::size_t i = 0; i < all.translations.size(); ++i) draft.take(all.translations[i], translation_in_draft(i));
}

void delete_trees(Draft& draft, const Garbage& garbage, const Control& control) {
  Progress progress{.phase = Progress::Phase::removing};
  std::vector<std::string> names;
  for (const Digest& key : garbage.found.trees) names.push_back(tree_in_draft(key));
  for (std::size_t i = 0; i < garbage.translations.size(); ++i) names.push_back(translation_in_draft(i));
  for (const std::string& name : names) {
    if (control.stop.stop_requested()) {
      draft.leave();
      throw_error(errc::cancelled, "delete what was removed", draft.path().native(), {},
                  "the next import or collection deletes the rest");
    }
    remove_tree(draft.descriptor(), name);
    ++progress.entries;
    if (control.observer) control.observer(progress);
  }
}

}  // namespace

GcResult collect_garbage(const StoreCore& core, const GcOptions& options, Images images) {
  GcResult result;
  Garbage garbage{result};
  result.drafts = options.dry_run ? dead_drafts(core) : sweep_drafts(core);
  Records records;
  records.read(core, options.control);
  std::optional<Draft> draft;
  if (!options.dry_run) draft.emplace(core);
  {
    const Lock alone = core.lock(Lock::Kind::exclusive);
    records.read(core, options.control);
    find_garbage(core, records, options.min_age, images, garbage);
    if (draft) take(core, *draft, garbage);
  }
  Usage usage;
  result.downloads = broken_downloads(core, options.min_age);
  for (const std::string& name : result.downloads) usage.add(core.root_descriptor(), "downloads/" + name);
  for (const Digest& key : result.trees)
    draft ? usage.add(draft->descriptor(), tree_in_draft(key)) : usage.add(core.root_descriptor(), core.tree_path(key));
  for (const Digest& blob : result.blobs)
    draft ? usage.add(draft->descriptor(), blob_in_draft(blob))
          : usage.add(core.root_descriptor(), core.blob_path(blob));
  for (std::size_t i = 0; i < garbage.translations.size(); ++i)
    draft ? usage.add(draft->descriptor(), translation_in_draft(i))
          : usage.add(core.root_descriptor(), garbage.translations[i]);
  result.exclusive_bytes = usage.exclusive_bytes();
  result.shared_bytes = usage.shared_bytes();
  result.files = usage.files();
  if (draft) std::erase_if(result.downloads, [&](const std::string& name) { return !remove_download(core, name); });
  if (draft) delete_trees(*draft, garbage, options.control);
  return result;
}

std::vector<Leftover> leftovers_of(const StoreCore& core) {
  std::vector<Leftover> all;
  const auto add = [&](Leftover::Kind kind, const std::string& name) {
    all.push_back(Leftover{.kind = kind, .name = name});
  };
  for (const std::string& name : dead_drafts(core)) add(Leftover::Kind::draft, name);
  const Lock alone = core.lock(Lock::Kind::exclusive);
  for (const LeaseState& lease : list_leases(core))
    if (!lease.live) add(Leftover::Kind::lease, lease.name);
  Records records;
  records.read(core, {});
  Needed named(core);
  for (const auto& [id, layer] : records.layers()) named.add(layer);
  std::vector<Digest> unreadable = records.unreadable();
  for (const ImageRecord& image : image_records(core, unreadable)) named.add_image(records, image);
  Unneeded unneeded;
  if (unreadable.empty()) unneeded = find_unneeded(core, named);
  for (const Digest& key : unneeded.trees) add(Leftover::Kind::tree, key.to_string());
  for (const Digest& blob : unneeded.blobs) add(Leftover::Kind::blob, blob.to_string());
  for (const std::string& name : broken_downloads(core, std::chrono::seconds(0))) add(Leftover::Kind::download, name);
  return all;
}

}  // namespace strata::detail
