// The two ways of finding changes: between an upper's merged view and the lower one, and between two trees. For an
// upper only the names that it has are looked at: where a directory merges just what lies at its place in the lower
// view, no other name can differ.
#pragma once

#include "diff/file_content.hpp"
#include "diff/linked_names.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace strata::detail {

struct Views {
  const MergedView& before;
  const MergedView& after;
};

struct Directory;

/// One name in both views.
struct Pair {
  std::string name;
  std::optional<MergedView::Entry> before = {};
  std::optional<MergedView::Entry> after = {};
  /// The same attributes and content in both; which names the file has isn't looked at.
  bool same = false;
  std::optional<SmallFile> content = {};           ///< of the newer one, where it was read already
  std::shared_ptr<Directory> directory = nullptr;  ///< of the newer one, where it is one
};

/// What there is to compare in a directory.
struct Candidates {
  bool opaque = false;  ///< nothing of the older directory is left: all of `pairs` is new
  std::vector<Pair> pairs = {};
  bool compared = false;  ///< Pair::same is known, and of what is the same there is only what has to be looked into
};

/// Used by several threads at once, each with views of its own, but for same_names().
class Strategy {
 public:
  virtual ~Strategy() = default;
  /// What can differ in a directory that both views have.
  virtual Candidates candidates(const Views& views, const std::string& path, const MergedView::Entry& before,
                                const MergedView::Entry& after) const = 0;
  /// What a path is to be told as, where the view doesn't say.
  virtual const OutsideName* instead(const std::string&) const { return nullptr; }
  /// Whether a name that both views have has the same attributes and content in both, whatever names the file has.
  virtual bool same(const Seen& before, const Seen& after, const std::stop_token& stop) const = 0;
  /// Of a file that has the same attributes and content in both: whether it is one file with the same names in both.
  virtual bool same_names(const std::string& path, const MergedView::Entry& before, const MergedView::Entry& after) = 0;
};

/// `names_elsewhere`: as in ChangeOptions.
using NamesElsewhere = std::function<nlink_t(const MergedView&, const MergedView::Entry&)>;
std::unique_ptr<Strategy> upper_strategy(const MergedView& merged, const MergedView& lower, const MergedView& index,
                                         NamesElsewhere names_elsewhere, const std::stop_token& stop);
/// `trust_times`: as in DiffOptions.
std::unique_ptr<Strategy> trees_strategy(const MergedView& older, const MergedView& newer, bool trust_times,
                                         const std::stop_token& stop);

/// All of a directory, as new.
Candidates all_new(const MergedView& view, const MergedView::Entry& directory);

/// Whether a layer carries such an entry (D11).
bool is_carried(const std::optional<MergedView::Entry>& entry);

}  // namespace strata::detail
