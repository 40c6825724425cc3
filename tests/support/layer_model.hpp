// A filesystem in memory, and layers applied to it by the rules A1 to A22 of docs/semantics.md, as plainly as they can
// be written down: nothing is on disk, nothing is fast, every layer is looked at as a whole. It judges what strata
// makes of the same layers, and shares nothing with it but the reading of tars.
//
// A layer is first put together by itself, as a tree of names with marks (LayerModel); then that tree is laid over what
// was there. Parents that are symlinks below are found by trying: the layer is put together again, with one more
// symlink known, until it passes through none that isn't.
#pragma once

#include <strata/tar.hpp>

#include "support/model_file.hpp"
#include "support/tree_text.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace strata::test {

class LayerModel {
 public:
  /// An empty directory, to begin with.
  static ModelTree empty() {
    auto root = std::make_shared<ModelFile>();
    root->is.type = TarType::directory;
    return root;
  }

  /// `below` stays as it is. Throws Refused, Unclear.
  static ModelTree apply(const std::string& tar, const ModelTree& below) {
    std::map<const ModelFile*, ModelTree> copies;
    return LayerModel(tar, copy(below, copies)).run();
  }

  /// All but the root, as tree_text() tells it.
  static std::string text(const ModelTree& root) {
    TreeText text;
    tell(text, *root, ".");
    return text.text();
  }

 private:
  using Names = std::vector<std::string>;
  enum class Kind { nothing, implied, listed, other, waiting };

  /// A name in the layer.
  struct Node {
    Node* parent = nullptr;
    std::string name;
    std::map<std::string, std::unique_ptr<Node>> children;
    Kind kind = Kind::nothing;
    ModelTree file;      ///< of Kind::listed and Kind::other
    bool hides = false;  ///< a whiteout of this name
    bool opaque = false;
    bool needed = false;           ///< only a symlink leads here: it must be there
    bool needed_by_marks = false;  ///< a symlink below leads here, to marks: the same
    bool directory() const { return kind == Kind::implied || kind == Kind::listed; }
    std::string path() const { return parent == nullptr ? "" : parent->path() + "/" + name; }
    void clear() {
      kind = Kind::nothing;
      children.clear();
      opaque = needed = false;
      file.reset();
    }
  };
  /// A hardlink, which may have to wait for its target.
  struct Link {
    Node* node;
    Names target;
    TarEntry is;
  };

  LayerModel(const std::string& tar, ModelTree below) : below_(std::move(below)) {
    MemorySource source(tar);
    TarReader reader(source);
    while (const TarEntry* entry = reader.next()) {
      entries_.emplace_back(*entry, "");
      for (auto piece = reader.content(); !piece.empty(); piece = reader.content())
        entries_.back().second.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    }
  }

  static ModelTree copy(const ModelTree& file, std::map<const ModelFile*, ModelTree>& copies) {
    ModelTree& made = copies[file.get()];
    if (made) return made;
    made = std::make_shared<ModelFile>(*file);
    const ModelTree result = made;
    for (auto& [name, child] : result->children) child = copy(child, copies);
    return result;
  }

  ModelTree run() {
    waited_ = false;
    do {
      root_ = std::make_unique<Node>();
      links_.clear();
      earliest_.reset();
      replaced_ = false;
      moved_symlinks_.clear();
      moved_marks_ = 0;
      for (const auto& [entry, content] : entries_) add(entry, content);
      check_clear();
      link_own();
      check_passed();
      own_symlinks_.clear();
      own_files_.clear();
      note_symlinks(*root_);
    } while (find_symlink_below(*root_, below_.get()));
    merge(*root_, below_);
    link_below();
    return below_;
  }

  // ---- The layer by itself

  static Names split(const std::string& path) {
    Names names;
    for (std::size_t at = 0; at < path.size();) {
      const std::size_t end = std::min(path.find('/', at), path.size());
      if (const std::string name = path.substr(at, end - at); !name.empty() && name != ".") names.push_back(name);
      at = end + 1;
    }
    return names;
  }
  /// A22: ".." is taken as it is written, and never leaves the root.
  static Names safe(const std::string& path) {
    Names names;
    for (const std::string& name : split(path)) {
      if (name != "..") {
        names.push_back(name);
        continue;
      }
      if (names.empty()) throw Refused("leaves the root: " + path);
      names.pop_back();
    }
    return names;
  }
  /// A7 to A9. Whether the entry is bookkeeping of AUFS.
  static bool is_aufs(const std::string& name) { return name.starts_with(".wh..wh.") && name != ".wh..wh..opq"; }

  void add(const TarEntry& entry, const std::string& content) {
    Names names = safe(entry.path);
    if (names.empty()) {
      if (entry.type == TarType::directory) see(entry), list(*root_, entry);
      return;
    }
    for (const std::string& name : names) {
      if (is_aufs(name)) return;
      if (name == ".wh." || name == ".wh.." || name == ".wh...") throw Refused("a whiteout of no name");
      if (name.starts_with(".wh.") && &name != &names.back()) throw Refused("in a whiteout");
    }
    const std::string name = names.back();
    names.pop_back();
    if (name == ".wh..wh..opq") {
      Node& opened = walk(names, false);
      opened.opaque = true;
      moved_marks_ += !symlinks_below_.empty() && split(opened.path()) != names;
    } else if (name.starts_with(".wh.")) {
      Node& hidden = child(walk(names, false), name.substr(4));
      hidden.hides = true;
      names.push_back(name.substr(4));
      moved_marks_ += !symlinks_below_.empty() && split(hidden.path()) != names;
    } else if (entry.type != TarType::character || entry.device_major != 0 || entry.device_minor != 0) {  // A18
      see(entry);
      Node& node = child(walk(names, true), name);
      put(node, entry, content);
      names.push_back(name);
      if (entry.type == TarType::symlink && !symlinks_below_.empty() && split(node.path()) != names)
        moved_symlinks_.insert(node.path());
    }
  }
  void see(const TarEntry& entry) { earliest_ = earliest_ ? std::min(*earliest_, entry.mtime) : entry.mtime; }

  static Node& child(Node& parent, const std::string& name) {
    std::unique_ptr<Node>& node = parent.children[name];
    if (!node) node = std::make_unique<Node>(), node->parent = &parent, node->name = name;
    return *node;
  }
  static Node* find(const Node& parent, const std::string& name) {
    const auto found = parent.children.find(name);
    return found == parent.children.end() ? nullptr : found->second.get();
  }

  static void list(Node& node, const TarEntry& entry) {
    if (node.kind == Kind::other || node.kind == Kind::waiting) node.clear();  // A21
    node.kind = Kind::listed;
    node.needed = false;
    node.file = std::make_shared<ModelFile>();
    node.file->is = entry;
  }

  void put(Node& node, const TarEntry& entry, const std::string& content) {
    if (entry.type == TarType::directory) return list(node, entry);
    if (entry.type == TarType::hardlink && node.kind == Kind::other && look(safe(entry.link)) == &node)
      return describe(*node.file, entry);  // A14: to itself
    replaced_ = replaced_ || node.kind != Kind::nothing;
    node.clear();  // A21, and marks beneath what is no directory
    files_.insert(node.path());
    node.kind = Kind::waiting;
    if (entry.type == TarType::hardlink) {
      const Names target = safe(entry.link);
      if (target.empty()) throw Refused("a link to the root");
      Link link{&node, target, entry};
      if (!link_to_own(link)) waited_ = true, links_.push_back(link);
      return;
    }
    node.kind = Kind::other;
    node.file = std::make_shared<ModelFile>();
    node.file->is = entry;
    node.file->content = content;
  }

  /// What a name of a path came from.
  enum class From { path, own_symlink, symlink_below };

  /// Of a name that is a symlink, in this layer or, once that is known, below: where it leads. Those below are followed
  /// once the whole layer is known: on their way its own count that come later.
  std::optional<std::pair<std::string, From>> symlink(const Node& directory, const std::string& name, From from) const {
    const auto found = directory.children.find(name);
    const Node* const node = found == directory.children.end() ? nullptr : found->second.get();
    if (node != nullptr && node->kind == Kind::other && node->file->is_symlink() && from == From::path &&
        moved_symlinks_.contains(node->path()))
      throw Unclear("through a symlink that a symlink below has put there");
    if (node != nullptr && node->kind == Kind::other && node->file->is_symlink())
      return std::pair(node->file->is.link, from == From::symlink_below ? from : From::own_symlink);
    const std::string path = directory.path() + "/" + name;
    if (from == From::symlink_below)
      if (const auto later = own_symlinks_.find(path); later != own_symlinks_.end())
        return std::pair(later->second, from);
    const auto known = symlinks_below_.find(path);
    if (known == symlinks_below_.end()) return std::nullopt;
    return std::pair(known->second, From::symlink_below);
  }

  /// Goes down a path, through symlinks. `step(at, name, from)` says what comes next; nullptr: nothing.
  template <class Step>
  Node* go(const Names& path, bool follow_last, bool marks, Step step) {
    std::vector<std::pair<std::string, From>> names;  // the next is last
    for (auto name = path.rbegin(); name != path.rend(); ++name) names.emplace_back(*name, From::path);
    Node* at = root_.get();
    int followed = 0;
    while (!names.empty()) {
      const auto [name, from] = names.back();
      names.pop_back();
      if (name == "..") {
        if (at->parent != nullptr) at = at->parent;
        continue;
      }
      if (const auto symlink_here = names.empty() && !follow_last ? std::nullopt : symlink(*at, name, from)) {
        const auto& [target, kind] = *symlink_here;
        if (++followed > 40) {
          if (marks && !symlinks_below_.empty()) throw Unclear("marks behind symlinks in a circle");
          throw Refused("symlinks in a circle");
        }
        const Names more = split(target);
        for (auto part = more.rbegin(); part != more.rend(); ++part) names.emplace_back(*part, kind);
        if (target.starts_with('/')) at = root_.get();
        continue;
      }
      const Node* const known = find(*at, name);
      const bool absent = known == nullptr || known->kind == Kind::nothing;
      if (absent && !names.empty() && names.back().first == "..") {
        names.pop_back();
        continue;
      }
      at = step(*at, name, from);
      if (at == nullptr) return nullptr;
    }
    return at;
  }

  /// The directory that names lead to (A12). With `make`, it is implied where it isn't there (A13); else there may be
  /// only marks for it.
  Node& walk(const Names& path, bool make) {
    return *go(path, true, !make, [this, make](Node& at, const std::string& name, From from) {
      Node& node = child(at, name);
      if (!make) {
        if (from == From::symlink_below) node.needed_by_marks = true;
        return &node;
      }
      if (from == From::symlink_below) {
        if (own_files_.contains(node.path())) throw Refused("a symlink to what is no directory");
        passed_.insert(node.path());
      }
      if (!node.directory()) {
        if (node.kind != Kind::nothing) node.clear();
        node.kind = Kind::implied;
        node.needed = from != From::path;
      } else if (from == From::path) {
        node.needed = false;
      }
      return &node;
    });
  }

  /// What the layer has at a path; its last name is not followed.
  Node* look(const Names& path) {
    return go(path, false, false, [](Node& at, const std::string& name, From) {
      Node* const node = find(at, name);
      return node == nullptr || node->kind == Kind::nothing ? nullptr : node;
    });
  }

  void note_symlinks(const Node& node) {
    if (node.kind == Kind::other && node.file->is_symlink())
      own_symlinks_.emplace(node.path(), node.file->is.link);
    else if (node.kind == Kind::other || node.kind == Kind::waiting)
      own_files_.insert(node.path());
    for (const auto& [name, below] : node.children) note_symlinks(*below);
  }

  /// Symlinks below are followed at the end. Where they lead to a path that the layer has said two things of already,
  /// the rules don't say what was meant: not of a directory in the place of a file of the layer, and not of a link that
  /// waits for one of the two.
  void check_clear() const {
    if (symlinks_below_.empty()) return;
    if (replaced_ && waited_) throw Unclear("links, and a path twice");
    // One may hide the symlink that another came through, which is found before.
    if (moved_marks_ > 1) throw Unclear("marks through symlinks");
    for (const std::string& path : files_)
      if (const Node* const node = own(path); symlinks_below_.contains(path) || (node != nullptr && node->directory()))
        throw Unclear(path);
  }
  const Node* own(const std::string& path) const {
    const Node* node = root_.get();
    for (const std::string& name : split(path))
      if (node != nullptr) node = find(*node, name);
    return node;
  }

  /// A directory that a symlink below leads through can't be something else as well.
  void check_passed() {
    for (const std::string& path : passed_) {
      const Node* const node = own(path);
      if (node != nullptr && (node->kind == Kind::other || node->kind == Kind::waiting))
        throw Refused("a symlink to what is no directory");
    }
    passed_.clear();
  }

  bool link_to_own(const Link& link) {
    Node* const target = look(link.target);
    // A directory that only a symlink below leads to isn't known yet; by the end the link may be replaced.
    if (target != nullptr && target->directory() && symlinks_below_.empty()) throw Refused("a link to a directory");
    if (target == nullptr || target->kind != Kind::other) return false;
    link.node->kind = Kind::other;
    link.node->file = target->file;
    describe(*target->file, link.is);
    return true;
  }

  /// A14: what a link says of the file that it leads to counts as well.
  static void describe(ModelFile& file, const TarEntry& link) {
    if (file.is_symlink()) return;
    const auto said = [](const TarEntry& entry) {
      return std::tuple(entry.mode, entry.uid, entry.gid, entry.mtime.seconds, entry.mtime.nanoseconds);
    };
    if (said(file.is) == said(link)) return;
    file.is.mode = link.mode;
    file.is.uid = link.uid;
    file.is.gid = link.gid;
    file.is.mtime = link.mtime;
    for (const auto& [name, value] : link.xattrs) file.is.xattrs[name] = value;
  }

  bool still_waits(const Link& link) const { return link.node->kind == Kind::waiting; }

  /// Links to entries that came later: once all are there, and as often as one more can be made.
  void link_own() {
    forget_replaced();
    for (bool more = true; more;) {
      more = false;
      for (const Link& link : links_) {
        if (!still_waits(link)) continue;
        Node* const target = look(link.target);
        if (target == nullptr || target->kind == Kind::waiting || target->kind == Kind::nothing) continue;
        if (target->directory()) throw Refused("a link to a directory");
        link.node->kind = Kind::other;
        link.node->file = target->file;
        more = true;
      }
    }
    for (const Link& link : links_)
      if (!still_waits(link)) describe(*link.node->file, link.is);
    std::erase_if(links_, [this](const Link& link) { return !still_waits(link); });
  }

  /// Leaves out links whose place a later entry took (A21). Nodes that are gone are found by looking for them.
  void forget_replaced() {
    std::set<const Node*> waiting;
    const auto collect = [&](auto& self, const Node& node) -> void {
      if (node.kind == Kind::waiting) waiting.insert(&node);
      for (const auto& [name, below] : node.children) self(self, *below);
    };
    collect(collect, *root_);
    // Of two entries for one link the last counts.
    std::vector<Link> kept;
    for (auto link = links_.rbegin(); link != links_.rend(); ++link)
      if (waiting.erase(link->node) != 0) kept.insert(kept.begin(), *link);
    links_ = std::move(kept);
  }

  // ---- Over what is below

  static ModelTree lookup(const ModelFile* directory, const std::string& name) {
    if (directory == nullptr || !directory->is_directory()) return nullptr;
    const auto found = directory->children.find(name);
    return found == directory->children.end() ? nullptr : found->second;
  }

  /// A12. Notes one symlink below that the layer passes through without having an entry for it.
  bool find_symlink_below(const Node& node, const ModelFile* low) {
    if (node.opaque || node.kind == Kind::other || node.kind == Kind::waiting) return false;
    for (const auto& [name, below] : node.children) {
      const ModelTree file = below->hides ? nullptr : lookup(low, name);
      if (!file) continue;
      const bool passed =
          below->kind == Kind::implied || (below->kind == Kind::nothing && (below->opaque || !below->children.empty()));
      if (passed && file->is_symlink()) {
        if (!symlinks_below_.emplace(below->path(), file->is.link).second) throw Refused("symlinks in a circle");
        return true;
      }
      if (file->is_directory() && find_symlink_below(*below, file.get())) return true;
    }
    return false;
  }

  /// Lays a directory of the layer over one that is there, or has just been made.
  void merge(Node& node, const ModelTree& into) {
    low_[into.get()] = node.opaque ? std::map<std::string, ModelTree>() : into->children;
    if (node.opaque) into->children.clear();                  // A4
    if (node.kind == Kind::listed) into->is = node.file->is;  // A10
    for (auto& [name, child] : node.children) {
      if (child->hides) into->children.erase(name);  // A1: first
      ModelTree there = lookup(into.get(), name);
      const bool merges = there && there->is_directory();
      if (child->needed_by_marks && !child->directory() && (child->kind != Kind::nothing || !merges))
        throw Refused("marks behind a symlink that leads nowhere");
      switch (child->kind) {
        case Kind::nothing:
          if (merges) merge(*child, there);  // A6: only marks
          break;
        case Kind::other:
        case Kind::waiting:
          into->children[name] = child->file;
          break;
        default:
          if (!merges) {
            if (child->needed) throw Refused("a symlink that leads nowhere");
            there = into->children[name] = implied();
          }
          merge(*child, there);
      }
    }
    std::erase_if(into->children, [](const auto& entry) { return !entry.second; });
  }

  /// A11
  ModelTree implied() const {
    ModelTree made = empty();
    made->is.mode = 0755;
    if (::geteuid() != 0) made->is.uid = ::geteuid(), made->is.gid = ::getegid();
    made->is.mtime = earliest_.value_or(Timestamp{});
    return made;
  }

  /// A14, links to what is below, and through it.
  void link_below() {
    std::map<std::pair<const ModelFile*, std::string>, const Link*> waiting;
    for (const Link& link : links_) waiting[{place(link.node->parent), link.node->name}] = &link;
    std::set<const Link*> under_way;
    const auto make = [&](auto& self, const Link& link) -> void {
      under_way.insert(&link);
      Names parents = link.target;
      parents.pop_back();
      ModelFile* const directory = follow(parents, waiting);
      const std::string& name = link.target.back();
      if (const auto other = waiting.find({directory, name}); other != waiting.end())
        if (!under_way.contains(other->second)) self(self, *other->second);
      ModelTree file = lookup(directory, name);
      // A whiteout of the target's own name leaves it to be linked to.
      if (!file)
        if (const auto was = low_.find(directory); was != low_.end())
          if (const auto found = was->second.find(name); found != was->second.end()) file = found->second;
      if (!file) throw Refused("a link to what isn't there");
      if (file->is_directory()) throw Refused("a link to a directory");
      ModelFile* const parent = place(link.node->parent);
      parent->children[link.node->name] = file;
      waiting.erase({parent, link.node->name});
    };
    std::vector<std::pair<ModelFile*, std::string>> made;
    for (const Link& link : links_) {
      made.emplace_back(place(link.node->parent), link.node->name);
      if (waiting.contains(made.back())) make(make, link);
    }
    for (std::size_t i = 0; i < links_.size(); ++i) describe(*made[i].first->children.at(made[i].second), links_[i].is);
  }

  /// Where a directory of the layer is in the whole.
  ModelFile* place(const Node* node) const {
    return node->parent == nullptr ? below_.get() : place(node->parent)->children.at(node->name).get();
  }

  /// In the whole, symlinks followed.
  template <class Waiting>
  ModelFile* follow(const Names& path, const Waiting& waiting) {
    Names names(path.rbegin(), path.rend());
    std::vector<ModelFile*> way{below_.get()};
    int followed = 0;
    while (!names.empty()) {
      const std::string name = names.back();
      names.pop_back();
      if (name == "..") {
        if (way.size() > 1) way.pop_back();
        continue;
      }
      if (waiting.contains({way.back(), name})) throw Refused("through a link that waits");
      const ModelTree next = lookup(way.back(), name);
      if (!next && !names.empty() && names.back() == "..") {
        names.pop_back();
      } else if (next && next->is_symlink()) {
        if (++followed > 40) throw Refused("symlinks in a circle");
        const Names more = split(next->is.link);
        names.insert(names.end(), more.rbegin(), more.rend());
        if (next->is.link.starts_with('/')) way.resize(1);
      } else if (next && next->is_directory()) {
        way.push_back(next.get());
      } else {
        throw Refused("through what is no directory");
      }
    }
    return way.back();
  }

  // ---- As text

  static mode_t mode_of(const TarEntry& is) {
    switch (is.type) {
      case TarType::directory:
        return S_IFDIR | is.mode;
      case TarType::symlink:
        return S_IFLNK | 0777;
      case TarType::fifo:
        return S_IFIFO | is.mode;
      case TarType::character:
        return S_IFCHR | is.mode;
      case TarType::block:
        return S_IFBLK | is.mode;
      default:
        return S_IFREG | is.mode;
    }
  }
  static void tell(TreeText& text, const ModelFile& directory, const std::string& shown) {
    for (const auto& [name, file] : directory.children) {
      const TarEntry& is = file->is;
      TreeLine line{shown + "/" + name,
                    mode_of(is),
                    is.uid,
                    is.gid,
                    file->content.size(),
                    is.mtime.seconds,
                    is.mtime.nanoseconds,
                    makedev(is.device_major, is.device_minor),
                    file->is_symlink() ? is.link : std::string(),
                    {is.xattrs.begin(), is.xattrs.end()},
                    sum_of(file->content.data(), file->content.size()),
                    {0, reinterpret_cast<std::uintptr_t>(file.get())}};
      text.add(line);
      if (file->is_directory()) tell(text, *file, line.path);
    }
  }

  ModelTree below_;
  std::vector<std::pair<TarEntry, std::string>> entries_;
  std::unique_ptr<Node> root_;
  std::set<std::string> files_;  ///< paths that had an entry that is no directory
  std::vector<Link> links_;
  std::set<std::string> passed_;
  std::set<std::string> own_files_;
  std::map<std::string, std::string> own_symlinks_;    ///< of the layer when it was last put together, by path
  std::map<std::string, std::string> symlinks_below_;  ///< by path
  std::map<const ModelFile*, std::map<std::string, ModelTree>> low_;  ///< what merged directories held before
  std::optional<Timestamp> earliest_;
  unsigned moved_marks_ = 0;              ///< whiteouts and opaque marks that came through a symlink below
  std::set<std::string> moved_symlinks_;  ///< of the layer, where symlinks below have put them
  bool replaced_ = false;                 ///< a path came twice
  bool waited_ = false;                   ///< a hardlink came before its target, or before it was known where that is
};

}  // namespace strata::test
