// A store's trees in other union forms, for union mounts that don't read the store's own: a cache, made of a tree when
// it is asked for first, and gone with it.
#pragma once

#include <strata/digest.hpp>
#include <strata/whiteout.hpp>

#include "tree/merged_view.hpp"

#include <functional>
#include <string>
#include <vector>

namespace strata::detail {

class Draft;
class StoreCore;

/// ROOT/translated/FORM/ALGORITHM/HEX.
struct TranslatedTree {
  Digest key;
  std::string path;  ///< beneath ROOT
};
/// All that there are.
std::vector<TranslatedTree> translated_trees(const StoreCore& core);
/// Those of one tree.
std::vector<std::string> translations_of(const StoreCore& core, const Digest& key);
/// Takes those of a tree out of the store, into the draft. The caller sees to it that none is made meanwhile, and that
/// nobody needs one.
void take_translations(const StoreCore& core, const Draft& draft, const Digest& key);

/// How many names a file of a tree has in translations of it, given a view of trees and its entry there; empty: there
/// are none. The store outlives it.
std::function<nlink_t(const MergedView&, const MergedView::Entry&)> names_in_translations(const StoreCore& core);

}  // namespace strata::detail
