#include "tree/builder.hpp"

#include <strata/error.hpp>
#include <strata/whiteout.hpp>

#include "tree/file_type.hpp"
#include "tree/mapped_ids.hpp"

#include <algorithm>

namespace strata::detail {

namespace {

/// What attributes that are kept until the end take, about: a map's node is five words and two strings.
std::uint64_t memory_of(const Attributes& attributes) {
  std::uint64_t bytes = sizeof attributes;
  for (const auto& [name, value] : attributes.xattrs)
    bytes += 5 * sizeof(void*) + 2 * sizeof(std::string) + name.size() + value.size();
  return bytes;
}

}  // namespace

TreeBuilder::TreeBuilder(int directory, int kept, const BuilderOptions& options, Report& report)
    : options_(options), report_(report), directory_(directory), kept_(kept) {
  index_.limit(&options_.budget);
  prepare();
}

void TreeBuilder::odd(const char* rule, std::string_view path, const std::string& action) {
  if (options_.conformance == Conformance::strict)
    throw_error(errc::refused, "accept the entry", quoted(path), action, std::string("rule ") + rule);
  report_.add(rule, std::string(path), action);
}

/// `holds`: something will be in it.
void TreeBuilder::check_depth(const std::string& directory, bool holds) const {
  meter_.depth(directory, holds);
  if (directory.size() > 4095)
    throw_error(errc::limit_exceeded, "use the directory", quoted(directory.substr(0, 64) + "…"),
                "symlinks lead to where paths are longer than 4,095 bytes");
}

bool TreeBuilder::add(const TarEntry& entry) {
  ++order_;
  for (const std::string& name : entry.global_headers) wish_for_parents(name);
  split_entry_path(entry.path, "entry", path_);
  meter_.entry(entry, path_);
  const bool wanted = place(entry);
  meter_.memory(index_.memory() + kept_bytes_, entry.path);
  return wanted;
}

bool TreeBuilder::place(const TarEntry& entry) {
  if (path_.absolute) odd("A22", entry.path, "the name is absolute: taken from the root of the layer");
  if (path_.climbs) odd("A22", entry.path, "the name has '..' in it: taken as it leads inside the root");
  auto& names = path_.names;
  if (names.empty()) {
    if (entry.type != TarType::directory) {
      odd("tar", entry.path, "an entry that is no directory has no name: skipped");
      return false;
    }
    earliest_ = std::min(earliest_, entry.mtime);
    if (index_[LayerIndex::root].kind == Kind::directory)
      odd("A21", entry.path, "the path comes again: the last entry is taken");
    index_[LayerIndex::root].kind = Kind::directory;
    set_attributes(LayerIndex::root, filtered(entry));
    return false;
  }
  const std::string_view name = names.back();
  const std::span<const std::string_view> parents(names.data(), names.size() - 1);
  std::string_view hidden;
  for (const std::string_view parent : parents) switch (classify_name(parent, hidden, entry.path)) {
      case NameKind::ordinary:
        break;
      case NameKind::aufs:
        odd("A9", entry.path, "bookkeeping of AUFS: skipped");
        return false;
      default:
        throw_error(errc::bad_archive, "use the entry", quoted(entry.path),
                    "a directory in it has the name of a whiteout");
    }
  switch (classify_name(name, hidden, entry.path)) {
    case NameKind::ordinary:
      break;
    case NameKind::aufs:
      odd("A9", entry.path, "bookkeeping of AUFS: skipped");
      return false;
    case NameKind::opaque:
      index_[directory_for(parents, false)].opaque = true;
      return false;
    case NameKind::whiteout:
      index_[index_.get(directory_for(parents, false), hidden)].whiteout = true;
      return false;
  }
  if (entry.type == TarType::character && entry.device_major == 0 && entry.device_minor == 0) {
    odd("A18", entry.path, "a character device 0:0 would be a whiteout: skipped");
    return false;
  }
  earliest_ = std::min(earliest_, entry.mtime);
  const Id parent = directory_for(parents, true);
  if (entry.type == TarType::directory) {
    add_directory(entry, parent, name);
    return false;
  }
  return add_other(entry, parent, name);
}

/// The attributes of an entry without those that a layer may not set (A17), with the host's ids (A24).
Attributes TreeBuilder::filtered(const TarEntry& entry) {
  Attributes attributes = attributes_of(entry);
  std::erase_if(attributes.xattrs, [&](const auto& xattr) {
    if (is_overlay_xattr(xattr.first)) {
      odd("A17", entry.path, "attribute " + quoted(xattr.first) + " is the union's own: left out");
      return true;
    }
    return xattr.first == "security.selinux";  // the host labels its files
  });
  map_to_host(attributes, options_.ids, entry.path, setter());
  return attributes;
}

Attributes TreeBuilder::undescribed(const std::string& path) const {
  Attributes attributes;
  attributes.mtime = earliest_;
  map_to_host(attributes, options_.ids, path, setter());
  // An ordinary user has nothing but his own ids to give.
  if (options_.ids.empty() && ::geteuid() != 0) attributes.uid = ::geteuid(), attributes.gid = ::getegid();
  return attributes;
}

void TreeBuilder::set_attributes(Id directory, Attributes attributes) {
  Node& node = index_[directory];
  kept_bytes_ += memory_of(attributes);
  if (node.extra == LayerIndex::none) {
    node.extra = static_cast<std::uint32_t>(attributes_.size());
    attributes_.push_back(std::move(attributes));
  } else {
    kept_bytes_ -= memory_of(attributes_[node.extra]);
    attributes_[node.extra] = std::move(attributes);
  }
}

void TreeBuilder::add_directory(const TarEntry& entry, Id parent, std::string_view name) {
  const Id id = index_.get(parent, name);
  if (index_[id].kind == Kind::directory) {
    odd("A21", entry.path, "the path comes again: the last entry is taken");
  } else if (index_[id].on_disk() || index_[id].kind == Kind::pending) {
    if (index_[id].kind != Kind::implied) {
      odd("A21", entry.path, "the path comes again: the last entry is taken");
      clear(id);
    }
  }
  Attributes attributes = filtered(entry);
  if (!index_[id].on_disk()) {
    // The final mode at once where it lets us work inside; set-id bits would be inherited, and wait.
    const std::uint32_t mode = (attributes.mode & 0700) == 0700 ? attributes.mode & 0777 : 0700;
    create_directory(parent, std::string(name), mode, entry.path);
  }
  index_[id].kind = Kind::directory;
  index_[id].order = order_;
  index_[id].needed = index_[id].wished = false;
  set_attributes(id, std::move(attributes));
}

bool TreeBuilder::add_other(const TarEntry& entry, Id parent, std::string_view name) {
  const Id node = index_.get(parent, name);
  if (entry.type == TarType::hardlink && keeps_itself(entry, node)) return false;
  if (index_[node].kind != Kind::nothing) {
    if (!index_[node].wished) odd("A21", entry.path, "the path comes again: the last entry is taken");
    clear(node);
  } else if (index_[node].first_child != LayerIndex::none) {
    clear(node);  // marks beneath what is no directory mean nothing
  }
  index_[node].order = order_;
  if (entry.type == TarType::hardlink) {
    add_hardlink(entry, node);
    return false;
  }
  Attributes attributes = filtered(entry);
  if (entry.type == TarType::file) return add_file(entry, node, std::move(attributes));
  add_special(entry, node, attributes);
  return false;
}

bool TreeBuilder::add_file(const TarEntry& entry, Id node, Attributes attributes) {
  create_file(node, std::move(attributes), entry.path);
  index_[node].kind = Kind::file;
  open_node_ = node;
  if (entry.size == 0) {
    close();
    return false;
  }
  index_[node].content = contents_++;
  bytes_ += entry.size;
  return true;
}

void TreeBuilder::add_special(const TarEntry& entry, Id node, const Attributes& attributes) {
  const mode_t type = type_bits(entry.type);
  if (type == S_IFLNK) {
    if (entry.link.empty() || entry.link.size() > 4095)
      throw_error(errc::bad_archive, "create the symlink", quoted(entry.path),
                  entry.link.empty() ? "it has no target" : "its target is longer than 4,095 bytes");
    create_symlink(node, entry);
    index_[node].kind = Kind::symlink;
    index_[node].extra = static_cast<std::uint32_t>(targets_.size());
    targets_.push_back(entry.link);
    kept_bytes_ += sizeof(std::string) + entry.link.size();
  } else {
    if (!create_device(node, type | (attributes.mode & 0777), entry)) {
      odd("A19", entry.path, "this user can't create devices: recorded, but not in the tree");
      index_[node].missing = true;
      missing_.push_back(index_.path(node));
      kept_bytes_ += sizeof(std::string) + missing_.back().size();
      plain_ = false;
      index_[node].whiteout = true;  // what it replaces below is gone all the same
      return;
    }
    index_[node].kind = Kind::file;
  }
  set_attributes_of(node, type, attributes, entry.path);
}

/// A hardlink to what the layer has at its own path: tar writes one for a name that it is given twice (A14).
bool TreeBuilder::keeps_itself(const TarEntry& entry, Id node) {
  if (!index_[node].on_disk() || index_[node].is_directory() || lookup(entry.link) != node) return false;
  odd("A21", entry.path, "a hardlink to itself: what is there stays");
  plain_ = false;
  describe_link(node, filtered(entry));
  return true;
}

void TreeBuilder::add_hardlink(const TarEntry& entry, Id node) {
  const EntryPath target = split_entry_path(entry.link, "hardlink target");
  if (target.names.empty())
    throw_error(errc::bad_archive, "link " + quoted(entry.path) + " to", quoted(entry.link),
                "a hardlink can't lead to the root");
  index_[node].kind = Kind::pending;  // so that it doesn't find itself
  const std::optional<Id> found = lookup(entry.link);
  if (found && index_[*found].is_directory())
    throw_error(errc::bad_archive, "link " + quoted(entry.path) + " to", quoted(entry.link), "it is a directory");
  Attributes attributes = filtered(entry);
  if (found && index_[*found].on_disk()) {
    make_link(node, *found);
    describe_link(node, attributes);
  } else {
    plain_ = false;
    pending_.push_back({node, entry.link, std::move(attributes)});
    kept_bytes_ += sizeof(PendingLink) + entry.link.size() + memory_of(pending_.back().attributes);
  }
}

void TreeBuilder::make_link(Id node, Id target) {
  create_link(node, target);
  index_[node].kind = index_[target].kind;
  if (index_[target].kind == Kind::symlink) index_[node].extra = index_[target].extra;
}

void TreeBuilder::make_implied(Id node) {
  const Id parent = index_[node].parent;
  plain_ = false;
  if (!index_[parent].on_disk()) make_implied(parent);
  create_directory(parent, index_.name(node), 0755, index_.path(node));
  index_[node].kind = Kind::implied;
  index_[node].extra = LayerIndex::none;
}

/// The directories that a global PAX header's own name leads through (A25), as far as nothing else is there.
void TreeBuilder::wish_for_parents(const std::string& path) {
  EntryPath split;
  try {
    split = split_entry_path(path, "global header");
  } catch (const Error&) {
    return;  // it names no file, so it need not be a name
  }
  if (split.names.size() < 2) return;
  split.names.pop_back();
  if (std::ranges::any_of(split.names, [](std::string_view name) { return name.starts_with(whiteout_prefix); })) return;
  Id at = LayerIndex::root;
  for (const std::string_view name : split.names) {
    at = index_.get(at, name);
    if (index_[at].is_directory()) continue;
    if (index_[at].kind != Kind::nothing) return;
    make_implied(at);
    index_[at].wished = true;
    wished_.push_back(at);
  }
  odd("A25", path, "a global header is called so: its directories are made, as other tools make them");
}

void TreeBuilder::push_target(std::vector<std::string>& names, Id symlink, int& links) {
  const std::string& target = targets_[index_[symlink].extra];
  plain_ = false;
  if (++links > most_symlinks)
    throw_error(errc::bad_archive, "place an entry beneath", quoted(index_.path(symlink)),
                "too many symlinks lead to it");
  for (std::size_t end = target.size(); end != 0;) {
    const std::size_t slash = target.rfind('/', end - 1);
    const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
    if (std::string name = target.substr(begin, end - begin); !name.empty() && name != ".")
      names.push_back(std::move(name));
    end = slash == std::string::npos ? 0 : slash;
  }
}

/// The directory that these names lead to. With `create`, directories that are missing are implied (made); else they
/// are only noted, as bearers of marks. Symlinks of this layer are followed inside the root; those below are met in
/// resolve().
TreeBuilder::Id TreeBuilder::directory_for(std::span<const std::string_view> parents, bool create) {
  if (create && last_directory_ != LayerIndex::none && std::ranges::equal(parents, last_parents_))
    return last_directory_;
  std::vector<std::string> names(parents.rbegin(), parents.rend());
  Id at = LayerIndex::root;
  int links = 0;
  // Names that are left when the targets of the symlinks so far have been followed: those before came from them.
  std::size_t own_names = names.size() + 1;
  while (!names.empty()) {
    const std::string name = std::move(names.back());
    names.pop_back();
    const bool from_symlink = names.size() >= own_names;
    if (name == "..") {
      if (at != LayerIndex::root) at = index_[at].parent;
      continue;
    }
    if (name.size() > 255)
      throw_error(errc::limit_exceeded, "use the name", quoted(name), "it is longer than 255 bytes");
    const Id known = index_.child(at, name);
    const bool absent = known == LayerIndex::none || index_[known].kind == Kind::nothing;
    if (absent && !names.empty() && names.back() == "..") {
      names.pop_back();  // "x/..", x not being there: as if it were a directory
      continue;
    }
    const Id id = known == LayerIndex::none ? index_.get(at, name) : known;
    if (index_[id].kind == Kind::symlink) {
      own_names = std::min(own_names, names.size());
      if (targets_[index_[id].extra].starts_with('/')) at = LayerIndex::root;
      push_target(names, id, links);
      continue;
    }
    if (create && !index_[id].is_directory()) {
      if (!absent) {
        odd("A13", index_.path(id), "a file of this layer is in the way of a directory: replaced");
        clear(id);
      }
      make_implied(id);
      index_[id].needed = from_symlink;
    } else if (create && !from_symlink) {
      index_[id].needed = false;  // entries of its own are in it
    }
    if (create) index_[id].wished = false;
    at = id;
  }
  // Without symlinks the entry's own path was measured; with them a layer could go ever deeper.
  if (links != 0) check_depth(index_.path(at), true);
  if (create) {
    last_parents_.assign(parents.begin(), parents.end());
    last_directory_ = at;
  }
  return at;
}

/// What this layer has put at a path; symlinks in it are followed, at its end not.
std::optional<TreeBuilder::Id> TreeBuilder::lookup(const std::string& path) {
  const EntryPath split = split_entry_path(path, "hardlink target");
  std::vector<std::string> names(split.names.rbegin(), split.names.rend());
  Id at = LayerIndex::root;
  int links = 0;
  while (!names.empty()) {
    const std::string name = std::move(names.back());
    names.pop_back();
    if (name == "..") {
      if (at != LayerIndex::root) at = index_[at].parent;
      continue;
    }
    const Id id = index_.child(at, name);
    if (id == LayerIndex::none || index_[id].kind == Kind::nothing) {
      if (names.empty() || names.back() != "..") return std::nullopt;
      names.pop_back();
      continue;
    }
    if (index_[id].kind == Kind::symlink && !names.empty()) {
      if (targets_[index_[id].extra].starts_with('/')) at = LayerIndex::root;
      push_target(names, id, links);
      continue;
    }
    at = id;
  }
  return at;
}

/// Takes away what the layer has put at a node so far, and all beneath it. Whether it hides what is below stays.
void TreeBuilder::clear(Id node) {
  plain_ = false;
  last_directory_ = LayerIndex::none;
  index_.for_each_child(node, [&](Id child) {
    clear(child);
    index_.detach(child);
  });
  if (index_[node].on_disk()) remove_from_disk(node);
  Node& cleared = index_[node];
  cleared.kind = Kind::nothing;
  cleared.opaque = false;
  cleared.needed = cleared.wished = cleared.missing = false;
  cleared.content = cleared.extra = LayerIndex::none;
}

void TreeBuilder::finish() {
  settle_files();
  index_.limit(nullptr);  // what is still to come is of the layers below
  // A hardlink to a later entry. Chains are followed to their end, so each link is made once.
  std::map<Id, const PendingLink*> by_node;
  for (const PendingLink& link : pending_)
    if (index_[link.node].kind == Kind::pending && !index_[link.node].unreachable) by_node[link.node] = &link;
  std::vector<bool> followed(index_.size());  // what is pending still leads nowhere in this layer, or in a circle
  for (const PendingLink& link : pending_) {
    if (!by_node.contains(link.node)) continue;
    std::vector<Id> waiting;
    Id at = link.node;
    while (index_[at].kind == Kind::pending && !followed[at]) {
      followed[at] = true;
      waiting.push_back(at);
      const std::optional<Id> next = lookup(by_node.at(at)->target);
      if (!next) break;
      at = *next;
    }
    if (!index_[at].on_disk()) continue;
    if (index_[at].is_directory())
      throw_error(errc::bad_archive, "link " + quoted(index_.path(link.node)) + " to", quoted(link.target),
                  "it is a directory");
    for (auto node = waiting.rbegin(); node != waiting.rend(); ++node) make_link(*node, at);
  }
  for (const PendingLink& link : pending_) {
    const auto made = by_node.find(link.node);
    if (made != by_node.end() && made->second == &link && index_[link.node].on_disk())
      describe_link(link.node, link.attributes);
  }
  std::erase_if(pending_, [&](const PendingLink& link) {
    return index_[link.node].kind != Kind::pending || index_[link.node].unreachable;
  });
  if (earliest_.seconds == INT64_MAX) earliest_ = {};
}

void TreeBuilder::seal(Marks marks) { seal_directory(LayerIndex::root, marks); }

}  // namespace strata::detail
