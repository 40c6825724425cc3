// Comparing two directories as they are, without anything merged. Of a hundred thousand names hardly any differs, so
// that nothing is made of a name before it is known to: no path, no entry, no memory of its own.
#pragma once

#include "diff/strategy.hpp"

#include <stop_token>

namespace strata::detail {

/// What differs in a directory that both views have, and what is in need of a further look: directories, files of
/// several names, and what no layer carries. All is compared. Both views are plain (MergedView::is_plain()).
Candidates compare_plain(const Views& views, const MergedView::Entry& before, const MergedView::Entry& after,
                         bool trust_times, const std::stop_token& stop);

}  // namespace strata::detail
