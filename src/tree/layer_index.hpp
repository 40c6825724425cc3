// The names of one layer, as a trie: what a layer puts where, and which names it hides. Whiteouts and entries may come
// in any order and mean the same (docs/semantics.md, A1 to A6), so what they amount to is known only here, at the end
// of the stream.
#pragma once

#include <strata/budget.hpp>
#include <strata/tar.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace strata::detail {

/// Some 60 bytes and the name for each name of the layer. Not thread safe.
class LayerIndex {
 public:
  using Id = std::uint32_t;
  static constexpr Id none = ~Id{0};
  static constexpr Id root = 0;

  /// What the layer puts at a name.
  enum class Kind : std::uint8_t {
    nothing,    ///< only marks, here or beneath
    implied,    ///< a directory without an entry of its own
    directory,  ///< a directory by its own entry
    symlink,
    file,     ///< anything else: a regular file, device or FIFO, a hardlink to one
    pending,  ///< a hardlink whose target has not been found yet
  };

  struct Node {
    Id parent = none;
    Id first_child = none;
    Id next_sibling = none;
    Id previous_sibling = none;
    std::uint32_t name_offset = 0;
    std::uint32_t order = 0;       ///< when its entry came: later ones win
    std::uint32_t content = none;  ///< ordinal of its content in the recipe
    std::uint32_t extra = none;    ///< of a directory: its attributes; of a symlink: its target
    std::uint8_t name_size = 0;
    Kind kind = Kind::nothing;
    bool whiteout : 1 = false;  ///< the layer hides what lower layers have at this name
    bool opaque : 1 = false;    ///< the layer hides what lower layers have beneath it
    bool needed : 1 = false;    ///< an implied directory that a symlink of this layer leads to: it must be there below
    bool wished : 1 = false;    ///< an implied directory that only a global header's name wishes for
    bool missing : 1 = false;   ///< a device, or a link to one, that this process could not make
    bool unreachable : 1 = false;  ///< taken out of the tree; the slot is not used again
    bool is_directory() const { return kind == Kind::implied || kind == Kind::directory; }
    /// Whether it stands in the directory that is being built.
    bool on_disk() const { return kind != Kind::nothing && kind != Kind::pending; }
  };

  LayerIndex();

  /// From now on, get() refuses to make more names than `budget.entries`; the budget outlives the index.
  void limit(const Budget* budget) { budget_ = budget; }
  /// Bytes that it takes.
  std::uint64_t memory() const {
    return nodes_.capacity() * sizeof(Node) + names_.capacity() + table_.capacity() * sizeof(Slot);
  }

  Node& operator[](Id id) { return nodes_[id]; }
  const Node& operator[](Id id) const { return nodes_[id]; }
  std::string name(Id id) const { return std::string(names_, nodes_[id].name_offset, nodes_[id].name_size); }
  bool is_called(Id id, std::string_view name) const {
    return std::string_view(names_).substr(nodes_[id].name_offset, nodes_[id].name_size) == name;
  }
  /// Of the root: "".
  std::string path(Id id) const;
  Id child(Id parent, std::string_view name) const;
  /// The child of that name, made (as Kind::nothing) where there is none. `name` has at most 255 bytes. Throws
  /// errc::limit_exceeded.
  Id get(Id parent, std::string_view name);
  /// Calls `visit(child)` for each child, newest first. `visit` may detach the child that it is given.
  template <class Visit>
  void for_each_child(Id parent, Visit visit) const {
    for (Id id = nodes_[parent].first_child; id != none;) {
      const Id next = nodes_[id].next_sibling;
      visit(id);
      id = next;
    }
  }
  /// Takes a node and all beneath it out.
  void detach(Id id);
  /// Moves a node, with all beneath it, below another parent that has no child of its name.
  void move(Id id, Id new_parent);
  std::size_t size() const { return nodes_.size(); }

 private:
  /// Of the table. With a part of the hash, no node has to be looked at but the one that is meant.
  struct Slot {
    Id id = none;
    std::uint32_t hash = 0;
  };

  std::uint32_t hash(Id parent, std::string_view name) const;
  Id find(Id parent, std::string_view name, std::uint32_t hash) const;
  void link(Id id, Id parent, std::uint32_t hash);
  void put(Slot slot);
  void unlink(Id id);
  void grow();

  std::vector<Node> nodes_;
  std::string names_;
  std::vector<Slot> table_;  // open addressing over (parent, name); a detached node keeps its slot, and matches nothing
  std::size_t used_ = 0;
  std::uint64_t seed_ = 0;
  const Budget* budget_ = nullptr;  ///< of names that may still be made
};

}  // namespace strata::detail
