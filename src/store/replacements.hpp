// Contents for a repair, gathered in a draft before anything of the tree is touched.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/progress.hpp>

#include "store/content_check.hpp"
#include "store/core.hpp"
#include "store/expected.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace strata::detail {

/// Of a tree whose records are good. Contents are named by their place in ExpectedTree::contents().
class Replacements {
 public:
  using Id = std::uint32_t;

  /// `tree`: descriptor of trees/KEY; `directory`: an empty one, for the contents. All that is given outlives it.
  Replacements(const StoreCore& core, const Layer& layer, int tree, const ExpectedTree& expected, int directory,
               const Control& control);

  void want(Id content) { wanted_.insert(content); }
  bool has(Id content) const { return had_.contains(content); }
  /// Whether it has all that the layer tar has of what is wanted.
  bool has_all_of_tar() const;
  int directory() const { return directory_; }
  /// Of a content, in the directory: its ordinal in the recipe, so that a RecipeSource can take it from there.
  std::string name(Id content) const;

  /// From files of this and other trees that have the same size and checksum, as candidates: whoever made the other
  /// layer may have wanted them so. What came from a layer below is taken from those below only.
  void take_from_trees();
  /// Whether the tree, with what there is, gives the layer tar; true where nothing of that is wanted.
  bool is_proven() const;
  /// Forgets contents of the layer tar. What came from a layer below has no other witness than its checksum, and stays.
  void drop_candidates();
  /// From the layer's tar, or blob, which proves itself. Throws errc::digest_mismatch where it is another layer's.
  void take_from_layer(ByteSource& source);

 private:
  bool is_of_tar(Id content) const { return expected_.contents()[content].ordinal != ExpectedTree::none; }
  void look_at_other_names();
  void look_into_tree(const Digest& key, bool is_below);
  bool copy(Id content, int from, const std::string& path);
  void remove(Id content);

  const StoreCore& core_;
  const Layer& layer_;
  const int tree_;
  const ExpectedTree& expected_;
  const int directory_;
  const Control& control_;
  ContentCheck check_;
  std::set<Id> wanted_;
  std::set<Id> had_;
  std::multimap<ContentChecksum, Id> by_checksum_;  // of what is still looked for
};

}  // namespace strata::detail
