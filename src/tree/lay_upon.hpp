// Flattening, one tree after the other.
#pragma once

#include <strata/progress.hpp>
#include <strata/whiteout.hpp>

#include "tree/attributes.hpp"

#include <boost/filesystem/path.hpp>

namespace strata::detail {

/// Puts a tree in one of overlay's forms upon the plain directory `target`, which then shows what an overlay of both
/// would: what the tree hides is removed, files take the place of what is there, directories that both have are merged
/// and get the tree's attributes, the root too. Files share blocks with the tree's where the filesystem can. Throws
/// Error; then `target` is to be thrown away. The observer gets how many entries of this tree are in place.
void lay_upon(const boost::filesystem::path& tree, UnionForm form, int target, const ObjectSetter& setter,
              const Control& control = {});

}  // namespace strata::detail
