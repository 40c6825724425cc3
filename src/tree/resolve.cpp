// TreeBuilder::resolve: what of a layer depends on the layers below it.
//
// In this order: parents that are symlinks below are followed (A12), hardlinks to lower files are made (A14), then
// implied directories take their attributes from below (A11) and marks that would hide nothing are dropped: in a
// directory that isn't merged with a lower one the kernel shows a whiteout as a broken name (seen on 6.18).

#include <strata/error.hpp>
#include <strata/whiteout.hpp>

#include "tree/builder.hpp"
#include "tree/copy.hpp"
#include "tree/entry_path.hpp"

#include <algorithm>

namespace strata::detail {

namespace {

void push_names(std::vector<std::string>& names, std::string_view target) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < target.size();) {
    const std::size_t end = std::min(target.find('/', at), target.size());
    if (const auto name = target.substr(at, end - at); !name.empty() && name != ".") parts.emplace_back(name);
    at = end + 1;
  }
  names.insert(names.end(), parts.rbegin(), parts.rend());
}

}  // namespace

/// What is below a node, looked up only once it is asked for: a layer of many directories asks for few of them, and a
/// chain may be long.
class TreeBuilder::LowerDirectory {
 public:
  explicit LowerDirectory(const MergedView& lower) : view_(lower) { place_.emplace(lower); }
  /// Of a child of what `parent` is for.
  LowerDirectory(const TreeBuilder& builder, LowerDirectory& parent, Id node) : view_(parent.view_) {
    if (parent.place_ && builder.may_be_below(node)) place_.emplace(*parent.place_, builder.index_.name(node));
  }

  /// nullptr: nothing, or it is hidden by this layer. With its topmost place.
  const MergedView::Entry* get() { return place_ ? place_->get() : nullptr; }
  bool is_directory() { return get() != nullptr && get()->metadata.is_directory(); }
  Attributes attributes() { return attributes_of(get()->metadata, view_.xattrs(*get())); }

 private:
  const MergedView& view_;
  std::optional<MergedView::Lazy> place_;
};

void TreeBuilder::resolve(const MergedView& lower) {
  last_directory_ = LayerIndex::none;
  if (index_[LayerIndex::root].opaque) open_root(lower);
  drop_wishes(lower);
  // Following one symlink can lead to entries that lie beneath another.
  for (int round = 0;; ++round) {
    needs_.assign(index_.size(), false);
    if (!find_needs(LayerIndex::root) && pending_.empty()) return;
    std::vector<Id> symlinks;
    LowerDirectory root(lower);
    find_lower_symlinks(LayerIndex::root, root, symlinks);
    if (symlinks.empty()) break;
    if (round == most_symlinks)
      throw_error(errc::bad_archive, "place an entry beneath", quoted(index_.path(symlinks.front())),
                  "too many symlinks lead to it");
    for (const Id node : symlinks)
      if (!index_[node].unreachable) relocate(node, lower);
  }
  link_all_lower(lower);
  needs_.assign(index_.size(), false);
  find_needs(LayerIndex::root);
  LowerDirectory root(lower);
  settle(LayerIndex::root, root);
  // Once nothing can be refused any more: with link_lower, these are files that are in use.
  for (const PendingLink& link : pending_)
    if (index_[link.node].on_disk()) describe_link(link.node, link.attributes);
  pending_.clear();
}

/// What a global header's name wishes for is there already where a lower layer has anything at that name (A25).
void TreeBuilder::drop_wishes(const MergedView& lower) {
  for (auto wish = wished_.rbegin(); wish != wished_.rend(); ++wish) {
    const Node& node = index_[*wish];
    if (node.unreachable || !node.wished || node.first_child != LayerIndex::none || !lower_of(*wish, lower)) continue;
    depends_ = true;
    remove_from_disk(*wish);
    index_.detach(*wish);
  }
}

bool TreeBuilder::self_contained() {
  needs_.assign(index_.size(), false);
  return pending_.empty() && !find_needs(LayerIndex::root);
}

/// Beneath what the layer itself hides, nothing is below that could be needed.
void TreeBuilder::directory_needs(Id node, bool hidden, Report& found) const {
  hidden = hidden || index_[node].opaque;
  std::vector<Id> children;
  index_.for_each_child(node, [&](Id child) { children.push_back(child); });
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    const Node& c = index_[*child];
    const bool leads = c.kind == Kind::nothing && (c.opaque || c.first_child != LayerIndex::none);
    if (c.kind == Kind::implied && c.needed)
      found.add("A12", index_.path(*child), "a symlink of this layer leads there: it must be a directory below");
    else if ((c.kind == Kind::implied || leads) && !hidden && !c.whiteout)
      found.add("A11", index_.path(*child), "it has no entry of its own: it is as the directory below");
    directory_needs(*child, hidden || c.whiteout, found);
  }
}

void TreeBuilder::needs(Report& found) const {
  directory_needs(LayerIndex::root, false, found);
  for (const PendingLink& link : pending_)
    found.add("A14", index_.path(link.node), "a hardlink to " + quoted(link.target) + ", which must be a file below");
}

/// Marks the nodes that depend on what is below, and those that lead to them.
bool TreeBuilder::find_needs(Id node) {
  const Node& n = index_[node];
  bool needed = node != LayerIndex::root && (n.kind == Kind::implied || n.kind == Kind::nothing || n.whiteout);
  needed = needed || n.opaque;
  index_.for_each_child(node, [&](Id child) { needed = find_needs(child) || needed; });
  needs_[node] = needed;
  return needed;
}

/// Whether this layer lets through what lower layers have at a node.
bool TreeBuilder::may_be_below(Id node) const {
  const Node& parent = index_[index_[node].parent];
  const bool through = parent.is_directory() || parent.kind == Kind::nothing;
  return through && !parent.opaque && !index_[node].whiteout;
}

/// What lower layers have at a child, given what they have at its parent. Nothing where this layer hides it.
TreeBuilder::Low TreeBuilder::lower_child(Id child, const Low& low, const MergedView& lower) const {
  if (!low || !low->metadata.is_directory() || !may_be_below(child)) return std::nullopt;
  return lower.lookup(*low, index_.name(child));
}

TreeBuilder::Low TreeBuilder::lower_of(Id node, const MergedView& lower) const {
  if (node == LayerIndex::root) return lower.root();
  return lower_child(node, lower_of(index_[node].parent, lower), lower);
}

/// The kernel doesn't honour an opaque mark on the root of a layer: all that lies below is hidden name by name instead.
void TreeBuilder::open_root(const MergedView& lower) {
  index_[LayerIndex::root].opaque = false;
  plain_ = false;
  const Low low = lower.root();
  if (!low) return;
  for (const auto& [name, entry] : lower.list(*low))
    if (name != options_.staging_name) index_[index_.get(LayerIndex::root, name)].whiteout = true;
  depends_ = true;
  root_hides_all_ = true;
}

void TreeBuilder::find_lower_symlinks(Id node, LowerDirectory& low, std::vector<Id>& found) const {
  index_.for_each_child(node, [&](Id child) {
    const Node& c = index_[child];
    if (!needs_[child] || !(c.is_directory() || c.kind == Kind::nothing)) return;
    LowerDirectory at(*this, low, child);
    const bool passed_through =
        c.kind == Kind::implied || (c.kind == Kind::nothing && (c.opaque || c.first_child != LayerIndex::none));
    if (passed_through && at.get() && at.get()->metadata.is_symlink())
      found.push_back(child);
    else
      find_lower_symlinks(child, at, found);
  });
}

/// The directory that names lead to, through symlinks of this layer and of those below; made as an implied one where
/// this layer has none yet. What isn't there at all is an error: nothing can be placed in it, nor hidden.
TreeBuilder::Id TreeBuilder::follow(Id at, std::vector<std::string> names, const MergedView& lower,
                                    const std::string& path) {
  // What is below the directories from the root to `at`: looked up anew for each name, a deep way would cost its
  // square.
  std::vector<Id> way;
  for (Id id = at; id != LayerIndex::root; id = index_[id].parent) way.push_back(id);
  std::vector<Low> lows{lower.root()};
  for (auto id = way.rbegin(); id != way.rend(); ++id) lows.push_back(lower_child(*id, lows.back(), lower));
  const auto to_root = [&] {
    at = LayerIndex::root;
    lows.resize(1);
  };
  int links = 0;
  while (!names.empty()) {
    const std::string name = std::move(names.back());
    names.pop_back();
    if (name == "..") {
      if (at == LayerIndex::root) continue;
      at = index_[at].parent;
      lows.pop_back();
      continue;
    }
    Id id = name.size() > 255 ? LayerIndex::none : index_.child(at, name);
    const bool own = id != LayerIndex::none && index_[id].on_disk();
    if (own && index_[id].kind == Kind::symlink) {
      if (targets_[index_[id].extra].starts_with('/')) to_root();
      push_target(names, id, links);
      continue;
    }
    const Low& low_parent = lows.back();
    Low low;
    if (id != LayerIndex::none)
      low = lower_child(id, low_parent, lower);
    else if (low_parent && low_parent->metadata.is_directory() && !index_[at].opaque)
      low = lower.lookup(*low_parent, name);
    if (id != LayerIndex::none && (index_[id].kind == Kind::file || index_[id].kind == Kind::pending))
      throw_error(errc::bad_archive, "place", quoted(path),
                  "the way leads through " + quoted(index_.path(id)) + ", which is no directory in this layer");
    const bool own_directory = own && index_[id].kind == Kind::directory;
    if (!own_directory && low && low->metadata.is_symlink()) {
      if (++links > most_symlinks)
        throw_error(errc::bad_archive, "place", quoted(path), "too many symlinks lead to its parent");
      const std::string target = lower.link_target(*low);
      if (target.starts_with('/')) to_root();
      push_names(names, target);
      continue;
    }
    if (!(own && index_[id].is_directory()) && !(low && low->metadata.is_directory())) {
      if (!low && !own && !names.empty() && names.back() == "..") {
        names.pop_back();
        continue;
      }
      throw_error(errc::bad_archive, "place", quoted(path),
                  "its parent leads through symlinks to " + quoted(name) + ", which is no directory below");
    }
    if (id == LayerIndex::none) id = index_.get(at, name);
    if (!index_[id].on_disk()) make_implied(id);
    at = id;
    lows.push_back(std::move(low));
  }
  return at;
}

/// A directory of this layer (implied) is a symlink below: what the layer put in it goes where the symlink leads.
void TreeBuilder::relocate(Id node, const MergedView& lower) {
  const Low low = lower_of(node, lower);
  if (!low || !low->metadata.is_symlink()) return;
  depends_ = true;
  const std::string path = index_.path(node);
  const std::string target = lower.link_target(*low);
  std::vector<std::string> names;
  push_names(names, target);
  const Id to = follow(target.starts_with('/') ? LayerIndex::root : index_[node].parent, std::move(names), lower, path);
  for (Id at = to; at != LayerIndex::root; at = index_[at].parent)
    if (at == node) throw_error(errc::bad_archive, "place", quoted(path), "its parent is a symlink into itself");
  // Out of the way first: what is in it may have to stand at its very name. No entry can have this one (A9).
  const Id parked = index_.get(LayerIndex::root, std::string(whiteout_prefix).append(whiteout_prefix).append("parked"));
  if (index_[node].on_disk()) {
    const int from = descriptor(index_[node].parent);
    if (sys::renameat2(from, index_.name(node).c_str(), directory_, index_.name(parked).c_str(), 0) != 0)
      throw_errno(errno, "move", quoted(path));
    index_[parked].kind = Kind::implied;
  }
  index_[parked].opaque = index_[node].opaque;
  index_.for_each_child(node, [&](Id child) { index_.move(child, parked); });
  index_.detach(node);
  merge_into(parked, to);
  if (index_[parked].on_disk()) remove_from_disk(parked);
  index_.detach(parked);
}

/// Takes away what came before an entry that has the same place as this directory. Whether anything is left.
bool TreeBuilder::drop_before(Id node, std::uint32_t order) {
  if (!index_[node].is_directory()) return index_[node].order >= order;
  bool left = false;
  index_.for_each_child(node, [&](Id child) {
    if (index_[child].kind == Kind::nothing) return;
    if (drop_before(child, order)) {
      left = true;
    } else {
      clear(child);
      index_.detach(child);
    }
  });
  if (index_[node].kind == Kind::directory && index_[node].order < order) {
    index_[node].kind = Kind::implied;
    index_[node].extra = LayerIndex::none;
  }
  return left || index_[node].kind == Kind::directory;
}

/// Moves what is in one directory of the layer into another. Where both have a name, the later entry wins.
void TreeBuilder::merge_into(Id from, Id to) {
  index_[to].opaque = index_[to].opaque || index_[from].opaque;
  index_.for_each_child(from, [&](Id child) {
    const std::string name = index_.name(child);
    const Id other = index_.child(to, name);
    if (other != LayerIndex::none) {
      index_[other].whiteout = index_[other].whiteout || index_[child].whiteout;
      index_[other].missing = index_[other].missing || index_[child].missing;
      const bool merges = (index_[child].is_directory() || index_[child].kind == Kind::nothing) &&
                          (index_[other].is_directory() || index_[other].kind == Kind::nothing);
      if (merges) {
        if (index_[child].is_directory() && !index_[other].on_disk()) make_implied(other);
        merge_into(child, other);
        if (index_[child].kind == Kind::directory &&
            (index_[other].kind == Kind::implied || index_[child].order > index_[other].order)) {
          index_[other].kind = Kind::directory;
          index_[other].order = index_[child].order;
          index_[other].extra = index_[child].extra;
        }
        if (index_[child].on_disk()) remove_from_disk(child);
        index_.detach(child);
        return;
      }
      bool later = index_[child].order >= index_[other].order;
      if (index_[child].is_directory())
        later = drop_before(child, index_[other].order);
      else if (index_[other].is_directory())
        later = !drop_before(other, index_[child].order);
      if (index_[child].kind != Kind::nothing && index_[other].kind != Kind::nothing)
        odd("A21", index_.path(later ? child : other),
            "the path comes again, through a symlink below: the last entry is taken");
      if (!later) {
        clear(child);
        index_.detach(child);
        return;
      }
      const bool hides = index_[other].whiteout;
      clear(other);
      index_.detach(other);
      index_[child].whiteout = hides;
    }
    if (index_[child].on_disk()) {
      if (!index_[to].on_disk()) make_implied(to);
      const int destination = descriptor(to);
      if (sys::renameat2(descriptor(from), name.c_str(), destination, name.c_str(), 0) != 0)
        throw_errno(errno, "move", quoted(index_.path(child)), "", "");
    }
    index_.move(child, to);
    record_moves(child);
  });
}

void TreeBuilder::record_moves(Id node) {
  if (index_[node].content != LayerIndex::none) moved_.emplace_back(index_[node].content, index_.path(node));
  index_.for_each_child(node, [&](Id child) { record_moves(child); });
}

/// The hardlinks that this layer alone couldn't make. The target of one may be another of them, which goes first; links
/// in a circle lead nowhere.
void TreeBuilder::link_all_lower(const MergedView& lower) {
  std::map<Id, const PendingLink*> by_node;
  for (const PendingLink& link : pending_)
    if (!index_[link.node].unreachable && index_[link.node].kind == Kind::pending) by_node[link.node] = &link;
  while (!by_node.empty()) {
    std::vector<std::pair<const PendingLink*, Id>> chain;  // with the directory of its target
    for (auto next = by_node.begin(); next != by_node.end();) {
      const PendingLink& link = *next->second;
      by_node.erase(next);
      const EntryPath target = split_entry_path(link.target, "hardlink target");
      Id parent = LayerIndex::root;
      try {
        parent = follow(LayerIndex::root, {std::next(target.names.rbegin()), target.names.rend()}, lower, link.target);
      } catch (const Error&) {
        throw_missing(link);
      }
      chain.emplace_back(&link, parent);
      next = by_node.find(index_.child(parent, target.names.back()));
    }
    for (auto link = chain.rbegin(); link != chain.rend(); ++link) link_lower(*link->first, link->second, lower);
  }
}

void TreeBuilder::throw_missing(const PendingLink& link) const {
  throw_error(errc::bad_archive, "link " + quoted(index_.path(link.node)) + " to", quoted(link.target),
              "neither this layer nor one below has it");
}

/// A hardlink to a file of a lower layer: the file comes up with all its attributes, and the other names that it has
/// below. `parent`: where its target is.
void TreeBuilder::link_lower(const PendingLink& link, Id parent, const MergedView& lower) {
  depends_ = true;
  const std::string path = index_.path(link.node);
  const EntryPath target = split_entry_path(link.target, "hardlink target");
  const std::string name(target.names.back());
  if (const Id own = index_.child(parent, name); own != LayerIndex::none && index_[own].on_disk()) {
    make_link(link.node, own);
    return;
  }
  if (const Id own = index_.child(parent, name); own != LayerIndex::none && index_[own].missing) {
    odd("A19", path, "a link to a device that this user can't create: recorded, but not in the tree");
    missing_.push_back(path);
    index_[link.node].missing = true;
    index_[link.node].kind = Kind::nothing;
    return;
  }
  // A whiteout of the target's own name takes the name away, but the file is still there to link to: so a rename is
  // told.
  const Low low_parent = lower_of(parent, lower);
  const bool hidden = index_[parent].opaque || (parent == LayerIndex::root && root_hides_all_);
  const Low low =
      low_parent && low_parent->metadata.is_directory() && !hidden ? lower.lookup(*low_parent, name) : std::nullopt;
  if (!low) throw_missing(link);
  if (low->metadata.is_directory())
    throw_error(errc::bad_archive, "link " + quoted(path) + " to", quoted(link.target), "it is a directory");
  if (index_.child(parent, name) == link.node) odd("A21", path, "a hardlink to itself: what is below stays");
  const std::pair file{low->metadata.device, low->metadata.inode};
  if (const auto known = brought_.find(file); known != brought_.end()) {
    make_link(link.node, known->second);
  } else if (options_.link_lower) {
    bring_up(link.node, *low, lower);
  } else {
    Id first = link.node;
    const Id own = index_.get(parent, name);
    if (!index_[own].whiteout && index_[own].kind == Kind::nothing) first = own;
    bring_up(first, *low, lower);
    if (first != link.node) make_link(link.node, first);
    if (low->metadata.links > 1) bring_group(*low, first, lower);
  }
  brought_.emplace(file, link.node);
}

void TreeBuilder::bring_up(Id node, const MergedView::Entry& entry, const MergedView& lower) {
  const std::string name = index_.name(node);
  const int dir = descriptor(index_[node].parent);
  index_[node].kind = entry.metadata.is_symlink() ? Kind::symlink : Kind::file;
  if (entry.metadata.is_symlink()) {
    index_[node].extra = static_cast<std::uint32_t>(targets_.size());
    targets_.push_back(lower.link_target(entry));
  }
  if (options_.link_lower) {
    const std::string& path = entry.top().path;
    const std::size_t slash = path.rfind('/');
    const FileDescriptor parent =
        open_beneath(lower.root_descriptor(entry.top().layer), slash == std::string::npos ? "" : path.substr(0, slash),
                     O_PATH | O_DIRECTORY, path);
    if (sys::linkat(parent.get(), path.substr(slash == std::string::npos ? 0 : slash + 1).c_str(), dir, name.c_str(),
                    0) == 0)
      return;
    if (errno != EXDEV && errno != EMLINK) throw_errno(errno, "link to", quoted(path));
  }
  if (entry.metadata.is_file()) {
    const std::uint64_t size = entry.metadata.size;
    meter_.content(index_.path(node), std::min<std::uint64_t>(size, entry.metadata.blocks * 512), size);
    bytes_ += size;
  }
  copy_file(lower, entry, attributes_of(entry.metadata, lower.xattrs(entry)), dir, name, setter());
  copied_.push_back(index_.path(node));
}

/// The other names of a lower file stay one file with it. They can be anywhere in the tree that has it, which is walked
/// once for all files.
void TreeBuilder::bring_group(const MergedView::Entry& entry, Id first, const MergedView& lower) {
  const Low root = lower.root();
  if (!lower_groups_) {
    lower_groups_.emplace();
    const auto search = [&](auto& self, const MergedView::Entry& directory, const std::string& prefix) -> void {
      for (const auto& [name, child] : lower.list(directory)) {
        if (child.metadata.is_directory())
          self(self, child, prefix + name + "/");
        else if (child.metadata.links > 1)
          (*lower_groups_)[{child.metadata.device, child.metadata.inode}].push_back(prefix + name);
      }
    };
    search(search, *root, "");
  }
  for (const std::string& path : (*lower_groups_)[{entry.metadata.device, entry.metadata.inode}]) {
    const EntryPath split = split_entry_path(path, "hardlink target");
    // Only names that this layer neither replaces nor hides.
    Id at = LayerIndex::root;
    Low low = root;
    for (const std::string_view name : split.names) {
      at = index_.get(at, name);
      low = lower_child(at, low, lower);
      if (!low) break;
    }
    if (!low || index_[at].kind != Kind::nothing) continue;
    if (!index_[index_[at].parent].on_disk()) make_implied(index_[at].parent);
    make_link(at, first);
  }
}

void TreeBuilder::settle(Id node, LowerDirectory& low) {
  const bool opaque = index_[node].opaque;
  index_.for_each_child(node, [&](Id child) {
    if (!needs_[child]) return;
    Node& c = index_[child];
    if (c.kind == Kind::nothing) {
      settle_marks(child, opaque, low);
      return;
    }
    // Marks that mean nothing, or something else than they say.
    if (c.whiteout || (!c.is_directory() && (c.opaque || c.first_child != LayerIndex::none))) plain_ = false;
    if (!c.is_directory()) return;  // it replaces what is below, whether that is also hidden or not
    c.opaque = c.opaque || c.whiteout;
    LowerDirectory at(*this, low, child);
    if (c.kind == Kind::implied) {
      if (at.is_directory()) {
        set_attributes(child, at.attributes());
        depends_ = true;
      } else if (c.needed) {
        throw_error(errc::bad_archive, "place entries in", quoted(index_.path(child)),
                    "a symlink of this layer leads there, but there is no such directory");
      } else if (!options_.ids.empty()) {
        // Now, since an id that doesn't fit must be refused before a lower file is described anew.
        set_attributes(child, undescribed(index_.path(child)));
      }
    }
    settle(child, at);
  });
}

/// A node that has only marks: it hides a name, or leads to nodes that do.
void TreeBuilder::settle_marks(Id node, bool parent_opaque, LowerDirectory& low) {
  if (index_[node].whiteout) {
    // Marks beneath a hidden name hide nothing more (A6).
    if (index_[node].first_child != LayerIndex::none) plain_ = false;
    index_.for_each_child(node, [&](Id child) { index_.detach(child); });
    if (!parent_opaque && low.is_directory()) return;
    if (!parent_opaque) depends_ = true;
    plain_ = false;
    index_.detach(node);
    return;
  }
  LowerDirectory at(*this, low, node);
  if (!at.is_directory()) {
    if (!parent_opaque) depends_ = true;
    plain_ = false;
    index_.detach(node);
    return;
  }
  make_implied(node);
  set_attributes(node, at.attributes());
  depends_ = true;
  settle(node, at);
  // Marks that hid nothing may have been all that it had.
}

}  // namespace strata::detail
