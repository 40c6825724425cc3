// A tree compared with what it should be.
#pragma once

#include <strata/verify.hpp>

#include "store/expected.hpp"

#include <vector>

namespace strata::detail {

/// One thing that is wrong, and with what.
struct Finding {
  Damage damage;
  ExpectedTree::Id node = ExpectedTree::none;  ///< none: an added name, or a content in kept/
  std::uint32_t content = ExpectedTree::none;  ///< of one in kept/: which of the expected contents
};

/// Everything in the tree that isn't as expected, sorted by path; at VerifyLevel::quick no file is read. Directories
/// are looked at in several threads, the files of each in the order of their inodes. Memory beside `expected`: a byte
/// for each name, and what one directory lists for each thread. Throws errc::cancelled; what can't be looked at is a
/// finding.
std::vector<Finding> check_tree(int tree, const ExpectedTree& expected, UnionForm form, VerifyLevel level,
                                const Control& control);

}  // namespace strata::detail
