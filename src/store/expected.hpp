// What a tree should be, from what the store noted of it: the headers in its recipe, or, where those don't say it all,
// the tree's own list of entries. No file of the tree is looked at.
#pragma once

#include <strata/layer.hpp>
#include <strata/progress.hpp>
#include <strata/tar.hpp>
#include <strata/whiteout.hpp>

#include "tree/attributes.hpp"
#include "tree/layer_index.hpp"
#include "tree/recipe_reader.hpp"

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// Some 160 bytes and the name for each name of the tree. Reading it is for any number of threads.
class ExpectedTree {
 public:
  using Id = LayerIndex::Id;
  static constexpr Id none = LayerIndex::none;
  static constexpr Id root = LayerIndex::root;

  /// What is at a name.
  struct Node {
    TarType type = TarType::file;
    bool there = false;  ///< else it only stands on the way to others
    bool whiteout = false;
    bool opaque = false;
    std::uint32_t mode = 0;
    std::uint64_t uid = 0, gid = 0, size = 0;
    Timestamp mtime;
    dev_t device = 0;
    Id link = none;                ///< of a further name of a file: its first
    std::uint32_t content = none;  ///< of a file that isn't empty: which of contents()
    std::uint32_t more = none;
  };

  /// What is in a file of the tree, or in one of kept/.
  struct Content {
    std::uint32_t ordinal = none;  ///< in the recipe; none: it came from a lower layer
    Id node = none;                ///< none: it is in kept/
    std::uint64_t size = 0;        ///< of the file; of a sparse one in kept/, up to its last extent
    ContentChecksum checksum{};
    std::uint32_t more = none;
  };

  /// Throws errc::damaged or errc::bad_archive where the tree's records can't be used, errc::cancelled where `stop`
  /// says so. `tree`: descriptor of trees/KEY.
  ExpectedTree(int tree, const Layer& layer, UnionForm form, const std::stop_token& stop);

  std::size_t size() const { return nodes_.size(); }
  const Node& operator[](Id id) const { return nodes_[id]; }
  const LayerIndex& names() const { return index_; }
  std::string path(Id id) const { return index_.path(id); }
  /// none: nothing is expected there, nor beneath.
  Id find(std::string_view path) const;
  Id child(Id directory, std::string_view name) const { return index_.child(directory, name); }
  /// The same, for one name after another in the order of the tar, most of them: `before` is the one before.
  Id child(Id directory, std::string_view name, Id before) const {
    const Id next = before + 1;
    const bool is_next = next < index_.size() && index_[next].parent == directory && !index_[next].unreachable &&
                         index_.is_called(next, name);
    return is_next ? next : index_.child(directory, name);
  }
  /// The first name of the file that this is a name of.
  Id first_name(Id id) const { return nodes_[id].link == none ? id : nodes_[id].link; }

  /// Whether what a directory holds isn't known: an ordinary user made the tree, whom it shuts out.
  bool is_closed(Id directory) const;

  const std::vector<Content>& contents() const { return contents_; }
  /// The content of a file; nullptr: it has none, or is one hole.
  const Content* content(Id id) const { return nodes_[id].content == none ? nullptr : &contents_[nodes_[id].content]; }
  /// Whether the tree's records don't say what is in a file that isn't empty: it may be a name of one in kept/.
  bool is_unrecorded(Id id) const;
  /// What of the file its checksum covers; the rest are holes. Empty: all of it.
  const std::vector<SparseExtent>& extents(const Content& content) const;
  /// The path that damage of it is told by.
  std::string path(const Content& content) const;
  const std::string& link_target(Id id) const { return more(id).target; }  ///< of a symlink
  const Xattrs& xattrs(Id id) const { return more(id).xattrs; }            ///< without marks of the union
  Attributes attributes(Id id) const;

 private:
  /// What few have.
  struct More {
    std::string target;
    Xattrs xattrs;
  };

  struct MoreOfContent {
    std::vector<SparseExtent> extents;
    std::string path;  ///< of one in kept/: where the recipe has it
  };

  void read_headers(int tree, const Layer& layer);
  void read_list(int tree, const std::string& opaque_mark);
  void read_contents(int tree, const Layer& layer);
  bool is_beyond_list(std::string_view path) const;
  void note(const TarEntry& entry);
  Node& describe(Id id, const TarEntry& entry, Xattrs xattrs);
  void add_content(const RecipeContent& content);
  Id get(std::span<const std::string_view> names);
  Id find_near(std::string_view path);
  Node& node(Id id);
  const More& more(Id id) const;
  void check_stop() const;

  const std::stop_token stop_;
  LayerIndex index_;
  std::vector<std::string> last_parents_;  // of the name that was added last
  Id last_parent_ = root;
  std::vector<Node> nodes_;  // by the index's ids
  std::vector<More> more_;
  std::vector<Content> contents_;
  std::vector<MoreOfContent> more_contents_;
  bool is_list_ = false;
  bool has_kept_ = false;
};

}  // namespace strata::detail
