// One look at a layer's tree, for those who tell of it and those who mend it.
#pragma once

#include "store/core.hpp"
#include "store/tree_check.hpp"

#include <memory>

namespace strata::detail {

struct Examination {
  std::vector<Finding> findings;
  /// What the tree should be; none: its records can't be used, or don't give the layer tar, and a finding says so.
  std::unique_ptr<const ExpectedTree> expected;
};

/// `tree`: descriptor of trees/KEY; -1: there is none. Throws errc::cancelled; all else is a finding.
Examination examine(const StoreCore& core, const Layer& layer, int tree, VerifyLevel level, const Control& control);

/// The digest of the layer tar that a tree and its recipe give, with files in the directory `replacements` (-1: none),
/// named by ordinals, in place of the tree's contents.
Digest rebuilt_diff_id(const StoreCore& core, int tree, int replacements, const Control& control);

}  // namespace strata::detail
