// Hardlinks: which names of a view are one file.
#pragma once

#include "tree/merged_view.hpp"

#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::detail {

/// Calls `visit` with every entry of a view and its path ("a/b"), but the root.
void visit_all(const MergedView& view, const std::stop_token& stop,
               const std::function<void(const std::string& path, const MergedView::Entry& entry)>& visit);

/// The names that each file of a view has in it. Looks through the whole view the first time that a file with several
/// links is asked for.
class LinkGroups {
 public:
  explicit LinkGroups(const MergedView& view, const std::stop_token& stop) : view_(view), stop_(stop) {}
  /// Sorted; `path`, where it is seen, included.
  const std::vector<std::string>& names(const std::string& path, const MergedView::Entry& entry);

 private:
  const MergedView& view_;
  const std::stop_token stop_;
  std::optional<std::map<std::pair<dev_t, ino_t>, std::vector<std::string>>> groups_;
  std::vector<std::string> alone_;
};

/// What a name is to be told as.
struct OutsideName {
  const MergedView* view;  ///< `merged` or `index`
  MergedView::Entry entry;
};

/// Names of `merged` that its topmost directory doesn't hold, and that are nevertheless one file with a name that it
/// changed. That is so for lower names of a file that was copied up under `index=on` (they show the upper's file, which
/// the kernel finds through the work directory's index), and for files in a renamed lower directory that have names
/// outside it. `index`: that directory of the work directory, empty where there is none; only there is a copied file
/// that has no name in the upper any more.
std::map<std::string, OutsideName> outside_names(const MergedView& merged, const MergedView& lower,
                                                 const MergedView& index, const std::stop_token& stop);

}  // namespace strata::detail
