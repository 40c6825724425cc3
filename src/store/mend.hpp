// A tree put right, path by path, by what it should be and the contents that were found for it.
#pragma once

#include "store/draft.hpp"
#include "store/replacements.hpp"
#include "store/tree_check.hpp"

#include <map>
#include <string>
#include <vector>

namespace strata::detail {

/// By path: why it is as bad as before.
using Unmended = std::map<std::string, std::string>;

/// Mends what the findings name. Nothing is written in place but attributes: whatever is made new is made in `draft`,
/// synced as the store's durability asks, and exchanged with what was in its place, which goes with the draft. `draft`
/// has an empty directory `new`. What can't be mended is in the result, and left as it was.
Unmended mend_tree(const StoreCore& core, int tree, const ExpectedTree& expected, const std::vector<Finding>& findings,
                   const Replacements& replacements, const Draft& draft);

}  // namespace strata::detail
