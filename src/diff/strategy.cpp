#include "diff/strategy.hpp"

#include "diff/plain_trees.hpp"

#include <algorithm>

namespace strata::detail {
namespace {

using Entry = MergedView::Entry;
using Listing = std::vector<std::pair<std::string, Entry>>;

bool have_one_name(const Entry& before, const Entry& after) {
  return before.metadata.links == 1 && after.metadata.links == 1;
}

std::vector<Pair> joined(Listing before, Listing after) {
  std::vector<Pair> pairs;
  pairs.reserve(std::max(before.size(), after.size()));
  auto b = before.begin();
  auto a = after.begin();
  while (b != before.end() || a != after.end()) {
    const int order = b == before.end() ? 1 : a == after.end() ? -1 : b->first.compare(a->first);
    Pair pair{order <= 0 ? std::move(b->first) : std::move(a->first)};
    if (order <= 0) pair.before = std::move((b++)->second);
    if (order >= 0) pair.after = std::move((a++)->second);
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

class UpperStrategy final : public Strategy {
 public:
  UpperStrategy(const MergedView& merged, const MergedView& lower, const MergedView& index,
                NamesElsewhere names_elsewhere, const std::stop_token& stop)
      : lower_(lower),
        names_elsewhere_(std::move(names_elsewhere)),
        outside_(outside_names(merged, lower, index, stop)) {}

  Candidates candidates(const Views& views, const std::string& path, const Entry& before,
                        const Entry& after) const override {
    if (!merges_just(before, after)) {
      Candidates candidates = all_new(views.after, after);
      candidates.opaque = true;
      return candidates;
    }
    Candidates candidates;
    for (auto& twin : views.after.twins(after, views.before, before, outside_in(path)))
      candidates.pairs.push_back(Pair{std::move(twin.name), std::move(twin.below), std::move(twin.here)});
    return candidates;
  }

  const OutsideName* instead(const std::string& path) const override {
    const auto found = outside_.find(path);
    return found == outside_.end() ? nullptr : &found->second;
  }

  /// A copy is a file of its own, whatever names the original has; which they are, only a look through all of the lower
  /// view could tell, so any file with several links is told.
  bool same_names(const std::string&, const Entry& before, const Entry& after) override {
    return have_one_name({lower_, before}, after);
  }
  bool same(const Seen& before, const Seen& after, const std::stop_token& stop) const override {
    return (after.entry.metadata.is_directory() || have_one_name(before, after.entry)) &&
           same_file(before, after, stop);
  }

 private:
  bool have_one_name(const Seen& before, const Entry& after) const {
    if (after.metadata.links != 1) return false;
    const nlink_t names = before.entry.metadata.links;
    return names == 1 || (names_elsewhere_ && names_elsewhere_(before.view, before.entry) + 1 == names);
  }

  /// Whether a directory merges, beside the upper's own, exactly what lies there in the lower view.
  static bool merges_just(const Entry& before, const Entry& after) {
    const std::size_t own = after.places.front().layer == 0 ? 1 : 0;
    return after.places.size() == before.places.size() + own &&
           std::equal(before.places.begin(), before.places.end(), after.places.begin() + static_cast<long>(own),
                      [](const auto& b, const auto& a) { return b.layer + 1 == a.layer && b.path == a.path; });
  }

  /// Names in a directory that are, or lead to, one of the outside names.
  std::vector<std::string> outside_in(const std::string& path) const {
    std::vector<std::string> names;
    for (auto at = outside_.lower_bound(path); at != outside_.end() && at->first.starts_with(path); ++at)
      names.push_back(at->first.substr(path.size(), at->first.find('/', path.size()) - path.size()));
    return names;
  }

  const MergedView& lower_;
  const NamesElsewhere names_elsewhere_;
  const std::map<std::string, OutsideName> outside_;
};

class TreesStrategy final : public Strategy {
 public:
  TreesStrategy(const MergedView& older, const MergedView& newer, bool trust_times, const std::stop_token& stop)
      : trust_times_(trust_times), stop_(stop), older_groups_(older, stop), newer_groups_(newer, stop) {}

  Candidates candidates(const Views& views, const std::string&, const Entry& before,
                        const Entry& after) const override {
    if (views.before.is_plain() && views.after.is_plain())
      return compare_plain(views, before, after, trust_times_, stop_);
    return {false, joined(views.before.list(before), views.after.list(after))};
  }
  bool same(const Seen& before, const Seen& after, const std::stop_token& stop) const override {
    if (trust_times_ && after.entry.metadata.is_file())
      return same_metadata(before.entry.metadata, after.entry.metadata);
    return same_file(before, after, stop);
  }
  bool same_names(const std::string& path, const Entry& before, const Entry& after) override {
    return have_one_name(before, after) || older_groups_.names(path, before) == newer_groups_.names(path, after);
  }

 private:
  const bool trust_times_;
  const std::stop_token stop_;
  LinkGroups older_groups_;
  LinkGroups newer_groups_;
};

}  // namespace

Candidates all_new(const MergedView& view, const Entry& directory) {
  Candidates candidates;
  for (auto& [name, entry] : view.list(directory))
    candidates.pairs.push_back(Pair{std::move(name), std::nullopt, std::move(entry)});
  return candidates;
}

bool is_carried(const std::optional<Entry>& entry) {
  return !entry || (!S_ISSOCK(entry->metadata.mode) && !entry->metadata.is_whiteout());
}

std::unique_ptr<Strategy> upper_strategy(const MergedView& merged, const MergedView& lower, const MergedView& index,
                                         NamesElsewhere names_elsewhere, const std::stop_token& stop) {
  return std::make_unique<UpperStrategy>(merged, lower, index, std::move(names_elsewhere), stop);
}

std::unique_ptr<Strategy> trees_strategy(const MergedView& older, const MergedView& newer, bool trust_times,
                                         const std::stop_token& stop) {
  return std::make_unique<TreesStrategy>(older, newer, trust_times, stop);
}

}  // namespace strata::detail
