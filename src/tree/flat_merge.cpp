#include "tree/flat_merge.hpp"

#include <strata/error.hpp>

namespace strata::detail {

namespace {

/// A directory whose mode shuts out even its owner lets him in; the caller gives it its mode again. Returns whether
/// that is needed.
bool open_up(int dir, const std::string& name, const Metadata& metadata) {
  if (!metadata.is_directory() || (metadata.mode & 0700) == 0700) return false;
  if (change_mode(dir, name, (metadata.mode & 07777) | 0700) != 0)
    throw_errno(errno, "open up the directory", quoted(name));
  return true;
}

using Id = LayerIndex::Id;
using Kind = LayerIndex::Kind;

class Merge {
 public:
  Merge(TreeBuilder& builder, const ObjectSetter& setter)
      : builder_(builder), index_(builder.index()), setter_(setter) {}

  /// `target` is an open directory that the layer's directory `node` is merged with.
  void directory(Id node, int target) {
    const Timestamp time = stat_of(target).mtime;
    if (index_[node].opaque)
      for (const DirectoryEntry& entry : list_directory(target)) remove_tree(target, entry.name);
    index_.for_each_child(node, [&](Id child) { place(child, target); });
    // Kind::implied has the attributes of this very directory; an entry of its own replaces them.
    const Attributes* attributes = builder_.attributes(node);
    const bool listed = index_[node].kind == Kind::directory && attributes != nullptr;
    if (listed) {
      const FileDescriptor readable(sys::openat(target, ".", O_RDONLY | O_DIRECTORY));
      if (!readable) throw_errno(errno, "open the directory", quoted(index_.path(node)));
      setter_.replace_directory(readable.get(), *attributes, index_.path(node));
    }
    ObjectSetter::set_times(target, listed ? attributes->mtime : time, index_.path(node));
  }

 private:
  void place(Id child, int target) {
    const LayerIndex::Node& node = index_[child];
    const std::string name = index_.name(child);
    if (!node.on_disk()) {
      if (node.whiteout) remove_tree(target, name);
      return;
    }
    const std::optional<Metadata> present = try_stat(target, name);
    if (node.is_directory() && present && present->is_directory() && !node.whiteout) {
      // An ordinary user may own directories that he may not change.
      const int from = builder_.descriptor(node.parent);
      if (const auto own = try_stat(from, name)) open_up(from, name, *own);
      const bool opened = open_up(target, name, *present);
      const FileDescriptor inside(sys::openat(target, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (!inside) throw_errno(errno, "open the directory", quoted(index_.path(child)));
      directory(child, inside.get());
      if (opened && node.kind != Kind::directory && sys::fchmod(inside.get(), present->mode & 07777) != 0)
        throw_errno(errno, "set the mode of", quoted(index_.path(child)));
      return;
    }
    if (present && (present->is_directory() || node.is_directory())) remove_tree(target, name);
    const int from = builder_.descriptor(node.parent);
    put_in_place(from, name, target);
    // Renaming one name of a file over another of the same file does nothing and leaves both.
    if (present && present->links > 1) (void)sys::unlinkat(from, name.c_str(), 0);
  }

  TreeBuilder& builder_;
  const LayerIndex& index_;
  const ObjectSetter& setter_;
};

}  // namespace

void put_in_place(int from, const std::string& name, int to) {
  const std::optional<Metadata> moved = try_stat(from, name);
  const bool opened = moved && open_up(from, name, *moved);
  if (sys::renameat2(from, name.c_str(), to, name.c_str(), 0) != 0) throw_errno(errno, "put in place", quoted(name));
  if (opened && change_mode(to, name, moved->mode & 07777) != 0) throw_errno(errno, "set the mode of", quoted(name));
}

void merge_flat(TreeBuilder& builder, int root, const ObjectSetter& setter) {
  Merge(builder, setter).directory(LayerIndex::root, root);
}

}  // namespace strata::detail
