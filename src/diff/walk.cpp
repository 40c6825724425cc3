// The walk that finds changes: two views side by side, top down. For an upper directory it is the same walk, between
// the merged view and the lower one, that looks only at the names that the upper has: where a directory merges just
// what lies at its place in the lower view, no other name can differ.
#include "diff/changes.hpp"
#include "diff/linked_names.hpp"
#include "diff/teller.hpp"

#include <strata/error.hpp>
#include <strata/whiteout.hpp>

#include <algorithm>

namespace strata::detail {
namespace {

using Entry = MergedView::Entry;
using Listing = std::vector<std::pair<std::string, Entry>>;

/// One name in both views.
struct Pair {
  std::string name;
  std::optional<Entry> before;
  std::optional<Entry> after;
};

/// What there is to compare in a directory.
struct Candidates {
  bool opaque = false;  ///< nothing of the older directory is left: all of `pairs` is new
  std::vector<Pair> pairs;
};

Candidates all_new(const MergedView& view, const Entry& directory) {
  Candidates candidates;
  for (auto& [name, entry] : view.list(directory)) candidates.pairs.push_back({name, std::nullopt, std::move(entry)});
  return candidates;
}

std::vector<Pair> joined(Listing before, Listing after) {
  std::vector<Pair> pairs;
  auto b = before.begin();
  auto a = after.begin();
  while (b != before.end() || a != after.end()) {
    const int order = b == before.end() ? 1 : a == after.end() ? -1 : b->first.compare(a->first);
    Pair pair{order <= 0 ? b->first : a->first, {}, {}};
    if (order <= 0) pair.before = std::move((b++)->second);
    if (order >= 0) pair.after = std::move((a++)->second);
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

/// Where the two ways of finding changes differ.
class Strategy {
 public:
  virtual ~Strategy() = default;
  /// What can differ in a directory that both views have.
  virtual Candidates candidates(const std::string& path, const Entry& before, const Entry& after) = 0;
  /// What a path is to be told as, where the view doesn't say.
  virtual const OutsideName* instead(const std::string&) { return nullptr; }
  /// Of a file that has the same attributes and content in both: whether it is one file with the same names in both.
  virtual bool same_names(const std::string& path, const Entry& before, const Entry& after) = 0;
};

class UpperStrategy final : public Strategy {
 public:
  UpperStrategy(const MergedView& merged, const MergedView& lower, const MergedView& index, const std::stop_token& stop)
      : merged_(merged), lower_(lower), outside_(outside_names(merged, lower, index, stop)) {}

  Candidates candidates(const std::string& path, const Entry& before, const Entry& after) override {
    if (!merges_just(before, after)) {
      Candidates candidates = all_new(merged_, after);
      candidates.opaque = true;
      return candidates;
    }
    std::vector<std::string> names;
    if (after.top().layer == 0) {
      const FileDescriptor dir =
          open_beneath(merged_.root_descriptor(0), after.top().path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      for (DirectoryEntry& entry : list_directory(dir.get(), merged_.shown(after)))
        names.push_back(std::move(entry.name));
    }
    add_outside(path, names);
    return {false, joined(lower_.pick(before, names), merged_.pick(after, names))};
  }

  const OutsideName* instead(const std::string& path) override {
    const auto found = outside_.find(path);
    return found == outside_.end() ? nullptr : &found->second;
  }

  /// A copy is a file of its own, whatever names the original has; which they are, only a look through all of the lower
  /// view could tell, so any file with several links is told.
  bool same_names(const std::string&, const Entry& before, const Entry& after) override {
    return before.metadata.links == 1 && after.metadata.links == 1;
  }

 private:
  /// Whether a directory merges, beside the upper's own, exactly what lies there in the lower view.
  static bool merges_just(const Entry& before, const Entry& after) {
    const std::size_t own = after.top().layer == 0 ? 1 : 0;
    return after.places.size() == before.places.size() + own &&
           std::equal(before.places.begin(), before.places.end(), after.places.begin() + static_cast<long>(own),
                      [](const auto& b, const auto& a) { return b.layer + 1 == a.layer && b.path == a.path; });
  }

  /// Names in a directory that are, or lead to, one of the outside names.
  void add_outside(const std::string& path, std::vector<std::string>& names) const {
    for (auto at = outside_.lower_bound(path); at != outside_.end() && at->first.starts_with(path); ++at)
      names.push_back(at->first.substr(path.size(), at->first.find('/', path.size()) - path.size()));
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
  }

  const MergedView& merged_;
  const MergedView& lower_;
  const std::map<std::string, OutsideName> outside_;
};

class TreesStrategy final : public Strategy {
 public:
  TreesStrategy(const MergedView& older, const MergedView& newer, const std::stop_token& stop)
      : older_(older), newer_(newer), older_groups_(older, stop), newer_groups_(newer, stop) {}

  Candidates candidates(const std::string&, const Entry& before, const Entry& after) override {
    return {false, joined(older_.list(before), newer_.list(after))};
  }
  bool same_names(const std::string& path, const Entry& before, const Entry& after) override {
    if (before.metadata.links == 1 && after.metadata.links == 1) return true;
    return older_groups_.names(path, before) == newer_groups_.names(path, after);
  }

 private:
  const MergedView& older_;
  const MergedView& newer_;
  LinkGroups older_groups_;
  LinkGroups newer_groups_;
};

class Walk {
 public:
  Walk(const MergedView& before, const MergedView& after, Strategy& strategy, ChangeSink& sink,
       const ChangeOptions& options, Report& report)
      : before_(before),
        after_(after),
        strategy_(strategy),
        options_(options),
        report_(report),
        teller_(sink, options, report) {}

  void run() {
    const auto root = after_.root();
    if (!root) return;
    const auto before = before_.root();
    const bool changed = !before || !same_root(*before, *root);
    enter("", before, *root, changed, !changed);
    while (!levels_.empty()) {
      if (levels_.back().next == levels_.back().pairs.size())
        levels_.pop_back();
      else
        visit();
    }
  }

 private:
  /// A directory on the way down. The way is kept here and not on the thread's stack: a tree may be as deep as someone
  /// hostile made it.
  struct Level {
    std::string path;  ///< "" or ending in '/'
    Entry directory;
    bool told;  ///< or not to be told: the root
    std::vector<Pair> pairs;
    std::size_t next = 0;
  };

  bool same_root(const Entry& before, const Entry& after) const {
    if (!options_.lower_root) return same_attributes({before_, before}, {after_, after});
    const RootAttributes& expected = *options_.lower_root;
    const Metadata& is = after.metadata;
    Xattrs xattrs = expected.xattrs;
    std::erase_if(xattrs, [](const auto& attribute) { return !is_layer_xattr(attribute.first); });
    return expected.metadata.mode == is.mode && expected.metadata.uid == is.uid && expected.metadata.gid == is.gid &&
           (expected.any_time || expected.metadata.mtime == is.mtime) && xattrs == layer_xattrs({after_, after});
  }

  void enter(const std::string& path, const std::optional<Entry>& before, const Entry& after, bool changed,
             bool told = false) {
    const bool merges = before && before->metadata.is_directory();
    Candidates candidates = merges ? strategy_.candidates(path, *before, after) : all_new(after_, after);
    levels_.push_back({path, after, told, std::move(candidates.pairs), 0});
    if (changed) tell_parents();
    if (candidates.opaque) {
      tell_parents();
      teller_.tell_opaque(path);
    }
    for (Pair& pair : levels_.back().pairs) {
      leave_out(path, pair);
      if (!pair.before || pair.after) continue;
      refuse_marker(pair.name, path);
      tell_parents();
      teller_.tell_whiteout(path, pair.name);
    }
  }

  void visit() {
    teller_.check_stop();
    Level& level = levels_.back();
    const Pair pair = std::move(level.pairs[level.next++]);
    if (!pair.after) return;
    const std::string path = level.path + pair.name;
    const OutsideName* instead = strategy_.instead(path);
    const Entry& after = instead ? instead->entry : *pair.after;
    const bool changed = instead || !pair.before || !same(path, *pair.before, after);
    if (changed) refuse_marker(pair.name, level.path);
    if (after.metadata.is_directory()) return enter(path + '/', pair.before, after, changed);
    if (!changed) return;
    tell_parents();
    teller_.tell(path, {instead ? *instead->view : after_, after});
  }

  bool same(const std::string& path, const Entry& before, const Entry& after) {
    if (!same_attributes({before_, before}, {after_, after})) return false;
    if (after.metadata.is_directory()) return true;
    return strategy_.same_names(path, before, after) &&
           (!after.metadata.is_file() || same_content({before_, before}, {after_, after}, options_.control.stop));
  }

  /// Tells the directories that lead to a change, each with its attributes (D4).
  void tell_parents() {
    for (Level& level : levels_) {
      if (level.told) continue;
      level.told = true;
      teller_.tell(level.path.empty() ? "./" : level.path, {after_, level.directory});
    }
  }

  /// Takes what a layer doesn't carry out of both sides.
  void leave_out(const std::string& directory, Pair& pair) {
    const auto carried = [](const std::optional<Entry>& entry) {
      return !entry || (!S_ISSOCK(entry->metadata.mode) && !entry->metadata.is_whiteout());
    };
    if (!carried(pair.before)) pair.before.reset();
    if (carried(pair.after)) return;
    report_.add("D11", directory + pair.name,
                S_ISSOCK(pair.after->metadata.mode) ? "a socket, left out" : "a device 0:0, left out");
    pair.after.reset();
  }

  /// D1: in a layer the name would mean something else.
  void refuse_marker(const std::string& name, const std::string& directory) const {
    if (!name.starts_with(whiteout_prefix)) return;
    throw_error(errc::refused, "write", quoted(directory + name),
                "in a layer, a name that begins with " + quoted(whiteout_prefix) + " is a deletion", "rename the file");
  }

  const MergedView& before_;
  const MergedView& after_;
  Strategy& strategy_;
  const ChangeOptions& options_;
  Report& report_;
  Teller teller_;
  std::vector<Level> levels_;
};

}  // namespace

void changes_of_upper(const MergedView& merged, const MergedView& lower, ChangeSink& sink, const ChangeOptions& options,
                      Report& report) {
  const MergedView index = options.index ? MergedView({*options.index}) : MergedView();
  UpperStrategy strategy(merged, lower, index, options.control.stop);
  Walk(lower, merged, strategy, sink, options, report).run();
}

void changes_between(const MergedView& older, const MergedView& newer, ChangeSink& sink, const ChangeOptions& options,
                     Report& report) {
  TreesStrategy strategy(older, newer, options.control.stop);
  Walk(older, newer, strategy, sink, options, report).run();
}

}  // namespace strata::detail
