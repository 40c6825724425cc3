// Moving a finished layer onto a plain root filesystem.
#pragma once

#include "tree/builder.hpp"

namespace strata::detail {

/// `builder` is resolved against the plain directory `root` and sealed without marks; its own directory is on the same
/// filesystem. What the layer hides is deleted, what it has is moved in, directories that both have keep what is in
/// them. Times of directories that the layer doesn't list stay.
void merge_flat(TreeBuilder& builder, int root, const ObjectSetter& setter);

/// Renames an entry into another directory, over what is there. Moving a directory changes its "..", which an ordinary
/// user may only where he may write to it: one that his own mode shuts is opened for that moment.
void put_in_place(int from, const std::string& name, int to);

}  // namespace strata::detail
