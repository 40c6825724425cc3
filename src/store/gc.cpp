#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/draft.hpp"
#include "store/lease.hpp"
#include "store/operations.hpp"
#include "store/roots.hpp"
#include "store/usage.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

namespace strata::detail {

namespace {

/// All records of the store. Reading them takes long, so it is done before the lock is taken, and what has come since
/// then under it: a record never changes.
class Records {
 public:
  void read(const StoreCore& core, const Control& control) {
    std::map<Digest, Layer> now;
    unreadable_.clear();
    for (const Digest& id : core.ids()) {
      if (control.stop.stop_requested()) throw_error(errc::cancelled, "collect garbage", {});
      if (const auto known = layers_.find(id); known != layers_.end()) {
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
  }
  const std::map<Digest, Layer>& layers() const { return layers_; }
  const std::vector<Digest>& unreadable() const { return unreadable_; }

 private:
  std::map<Digest, Layer> layers_;
  std::vector<Digest> unreadable_;
};

bool is_younger(const StoreCore& core, const Digest& id, std::chrono::seconds age) {
  const auto record = try_stat(core.root_descriptor(), core.layer_path(id));
  return record && record->mtime.seconds > std::time(nullptr) - age.count();
}

/// What is needed, by layer and tree.
class Needed {
 public:
  Needed(const StoreCore& core, const Records& records, std::chrono::seconds min_age) : records_(records) {
    for (const Root& root : roots_of(core)) add(root.layer);
    for (const auto& [id, layer] : records.layers())
      if (is_younger(core, id, min_age)) add(id);
    for (const DraftNeeds& draft : needs_of_drafts(core))
      if (draft.tree) trees_.insert(*draft.tree);
  }
  bool has_layer(const Digest& id) const { return layers_.contains(id); }
  bool has_tree(const Digest& key) const { return trees_.contains(key); }

 private:
  /// A layer and those below it. One that isn't there, or can't be read, has its trees named by those above.
  void add(const Digest& id) {
    for (auto layer = records_.layers().find(id); layer != records_.layers().end();) {
      if (!layers_.insert(layer->first).second) return;
      trees_.insert(layer->second.trees.begin(), layer->second.trees.end());
      if (!layer->second.parent) return;
      layer = records_.layers().find(*layer->second.parent);
    }
  }

  const Records& records_;
  std::set<Digest> layers_, trees_;
};

std::vector<Digest> trees_in(const StoreCore& core) {
  const std::string algorithm(core.hash().name);
  const FileDescriptor dir = open_directory(core.root() / "trees" / algorithm);
  std::vector<Digest> keys;
  for (const DirectoryEntry& entry : list_directory(dir.get(), "trees"))
    if (auto key = Digest::try_parse(algorithm + ":" + entry.name)) keys.push_back(*std::move(key));
  return keys;
}

/// Fills in what is garbage at this moment. The caller holds the store's lock exclusively.
void find_garbage(const StoreCore& core, const Records& records, std::chrono::seconds min_age, GcResult& result) {
  const Needed needed(core, records, min_age);
  for (const LeaseState& lease : list_leases(core))
    if (!lease.live) result.leases.push_back(lease.name);
  for (const auto& [id, layer] : records.layers())
    if (!needed.has_layer(id)) result.layers.push_back(id);
  // Those on top go first, so that at no moment one is without its parent.
  std::ranges::stable_sort(result.layers, std::ranges::greater(),
                           [&](const Digest& id) { return records.layers().at(id).diff_ids.size(); });
  result.unreadable = records.unreadable();
  for (const Digest& key : trees_in(core))
    // Which trees a record has that can't be read, nobody knows.
    if (!needed.has_tree(key) && records.unreadable().empty()) result.trees.push_back(key);
}

std::string place_in_draft(const Digest& key) { return "tree." + key.hex(); }

/// Moves the garbage into the draft. A crash leaves the draft, and perhaps trees that no layer has; the next sweep and
/// the next collection take those.
void take(const StoreCore& core, const Draft& draft, const GcResult& garbage) {
  for (const std::string& lease : garbage.leases) take_lease(core, draft, lease);
  for (const Digest& id : garbage.layers) draft.take(core.layer_path(id), "layer." + id.hex());
  if (!garbage.layers.empty())  // before trees go: no power cut leaves a record without its tree
    core.sync(open_directory(core.root() / "layers" / std::string(core.hash().name)).get(), "layers");
  for (const Digest& key : garbage.trees) draft.take(core.tree_path(key), place_in_draft(key));
}

void delete_trees(Draft& draft, const GcResult& garbage, const Control& control) {
  Progress progress{.phase = Progress::Phase::removing};
  for (const Digest& key : garbage.trees) {
    if (control.stop.stop_requested()) {
      draft.leave();
      throw_error(errc::cancelled, "delete what was removed", draft.path().native(), {},
                  "the next import or collection deletes the rest");
    }
    remove_tree(draft.descriptor(), place_in_draft(key));
    ++progress.entries;
    if (control.observer) control.observer(progress);
  }
}

}  // namespace

GcResult collect_garbage(const StoreCore& core, const GcOptions& options) {
  GcResult result;
  result.drafts = options.dry_run ? dead_drafts(core) : sweep_drafts(core);
  Records records;
  records.read(core, options.control);
  std::optional<Draft> draft;
  if (!options.dry_run) draft.emplace(core);
  {
    const Lock alone = core.lock(Lock::Kind::exclusive);
    records.read(core, options.control);
    find_garbage(core, records, options.min_age, result);
    if (draft) take(core, *draft, result);
  }
  Usage usage;
  for (const Digest& key : result.trees)
    draft ? usage.add(draft->descriptor(), place_in_draft(key))
          : usage.add(core.root_descriptor(), core.tree_path(key));
  result.exclusive_bytes = usage.exclusive_bytes();
  result.shared_bytes = usage.shared_bytes();
  result.files = usage.files();
  if (draft) delete_trees(*draft, result, options.control);
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
  std::set<Digest> named;
  for (const auto& [id, layer] : records.layers()) named.insert(layer.trees.begin(), layer.trees.end());
  for (const DraftNeeds& draft : needs_of_drafts(core))
    if (draft.tree) named.insert(*draft.tree);
  if (records.unreadable().empty())
    for (const Digest& key : trees_in(core))
      if (!named.contains(key)) add(Leftover::Kind::tree, key.to_string());
  return all;
}

}  // namespace strata::detail
