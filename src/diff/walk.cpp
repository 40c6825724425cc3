// The walk that finds changes: two views side by side, top down, each name in its place.
#include "diff/changes.hpp"
#include "diff/scouts.hpp"
#include "diff/teller.hpp"

#include <strata/error.hpp>
#include <strata/whiteout.hpp>

namespace strata::detail {
namespace {

using Entry = MergedView::Entry;

class Walk {
 public:
  Walk(const Views& views, Strategy& strategy, ChangeSink& sink, const ChangeOptions& options, Report& report)
      : before_(views.before),
        after_(views.after),
        strategy_(strategy),
        options_(options),
        report_(report),
        teller_(sink, options, report),
        scouts_(views, strategy, options.control.stop) {}

  void run() {
    const auto root = after_.root();
    if (!root) return;
    const auto before = before_.root();
    const bool changed = !before || !same_root(*before, *root);
    Directory directory{"", before, *root};
    enter(directory, changed, !changed);
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

  void enter(Directory& directory, bool changed, bool told = false) {
    Candidates candidates = scouts_.take(directory);
    const std::string& path = directory.path;
    levels_.push_back({path, std::move(directory.after), told, std::move(candidates.pairs), 0});
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
    const bool changed = instead || !pair.before || !pair.same ||
                         (!after.metadata.is_directory() && !strategy_.same_names(path, *pair.before, after));
    if (changed) refuse_marker(pair.name, level.path);
    if (pair.directory) return enter(*pair.directory, changed);
    if (!changed) return;
    tell_parents();
    teller_.tell(path, {instead ? *instead->view : after_, after}, pair.content ? &*pair.content : nullptr);
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
    if (!is_carried(pair.before)) pair.before.reset();
    if (is_carried(pair.after)) return;
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
  Scouts scouts_;
  std::vector<Level> levels_;
};

}  // namespace

void changes_of_upper(const MergedView& merged, const MergedView& lower, ChangeSink& sink, const ChangeOptions& options,
                      Report& report) {
  const MergedView index = options.index ? MergedView({*options.index}) : MergedView();
  const auto strategy = upper_strategy(merged, lower, index, options.names_elsewhere, options.control.stop);
  Walk({lower, merged}, *strategy, sink, options, report).run();
}

void changes_between(const MergedView& older, const MergedView& newer, ChangeSink& sink, const ChangeOptions& options,
                     Report& report) {
  const auto strategy = trees_strategy(older, newer, options.trust_times, options.control.stop);
  Walk({older, newer}, *strategy, sink, options, report).run();
}

}  // namespace strata::detail
