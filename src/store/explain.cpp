#include <strata/explain.hpp>

#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/operations.hpp"
#include "store/tree_record.hpp"
#include "tree/builder.hpp"
#include "tree/recipe.hpp"
#include "tree/recipe_reader.hpp"

#include <algorithm>

namespace strata {

std::string_view to_string(Explanation::Kind kind) noexcept {
  constexpr std::string_view names[] = {"nothing", "whiteout", "directory", "file", "symlink", "device", "unmade"};
  return names[static_cast<std::size_t>(kind)];
}

std::string_view to_string(Explanation::Cover::Kind kind) noexcept {
  constexpr std::string_view names[] = {"whiteout", "opaque", "replaced"};
  return names[static_cast<std::size_t>(kind)];
}

namespace detail {

namespace {

using Kind = Explanation::Kind;
using Cover = Explanation::Cover;
using Names = std::vector<std::string>;

constexpr int max_symlinks = 40;  // as the kernel's own limit

/// Puts the names of a path in front of those that are still to be looked up: the next one is the last.
void push_names(Names& names, std::string_view path) {
  Names parts;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (const auto name = path.substr(at, end - at); !name.empty() && name != ".") parts.emplace_back(name);
    at = end + 1;
  }
  names.insert(names.end(), parts.rbegin(), parts.rend());
}

std::string joined(const Names& names, std::size_t count) {
  std::string path;
  for (std::size_t i = 0; i < count; ++i) path.append(i == 0 ? "" : "/").append(names[i]);
  return path;
}

Kind kind_of(const Metadata& metadata) {
  if (metadata.is_directory()) return Kind::directory;
  if (metadata.is_file()) return Kind::file;
  if (metadata.is_symlink()) return Kind::symlink;
  return metadata.is_whiteout() ? Kind::whiteout : Kind::device;
}

class Explainer {
 public:
  Explainer(const StoreCore& core, const Digest& id)
      : core_(core), top_(core.get(id)), view_(core.lowers(top_), MergedView::marks_of(core.form())) {
    chain_.push_back(top_.id);
    for (auto parent = top_.parent; parent; parent = core.get(*parent).parent) chain_.push_back(*parent);
    if (chain_.size() != top_.trees.size())
      throw_error(errc::damaged, "explain a path of", id.to_string(),
                  "its record has another number of trees than parents");
    // A tree that the chain has several times does all that it does from its topmost place: the view has it once.
    for (std::size_t layer = 0; layer < chain_.size(); ++layer) {
      const Digest& key = top_.trees[top_.trees.size() - 1 - layer];
      if (std::ranges::find(keys_, key) != keys_.end()) continue;
      keys_.push_back(key);
      ids_.push_back(chain_[layer]);
    }
  }

  Explanation run(std::string_view path) {
    follow(path);
    for (std::size_t layer = 0; layer < view_.layers(); ++layer) look_at(layer);
    const auto seen = std::ranges::find(result_.layers, true, &Explanation::AtLayer::shown);
    if (seen == result_.layers.end()) return std::move(result_);
    result_.kind = seen->has;
    const auto layer = static_cast<std::size_t>(seen - result_.layers.begin());
    if (seen->has == Kind::directory) {
      result_.attributes = describing_layer();
    } else {
      result_.content = result_.attributes = ids_[layer];
      if (seen->has != Kind::unmade) tell_file(layer);
    }
    return std::move(result_);
  }

 private:
  /// Resolves the path in the merged view, into names_.
  void follow(std::string_view path) {
    const bool into = path.ends_with('/') || path.ends_with("/.");
    std::vector<std::optional<MergedView::Entry>> way{view_.root()};
    Names left;
    push_names(left, path);
    while (!left.empty()) {
      const std::string name = std::move(left.back());
      left.pop_back();
      if (name == "..") {
        if (names_.empty()) continue;
        names_.pop_back();
        way.pop_back();
        continue;
      }
      auto entry = way.back() ? view_.lookup(*way.back(), name) : std::nullopt;
      names_.push_back(name);
      if (entry && entry->metadata.is_symlink() && (into || !left.empty())) {
        if (result_.followed.size() == max_symlinks) throw_errno(ELOOP, "follow", quoted(path));
        std::string target = view_.link_target(*entry);
        result_.followed.push_back({joined(names_, names_.size()), target, ids_[entry->top().layer]});
        names_.pop_back();
        if (target.starts_with('/')) {
          names_.clear();
          way.resize(1);
        }
        push_names(left, target);
        continue;
      }
      way.push_back(std::move(entry));
    }
    result_.path = joined(names_, names_.size());
  }

  /// What one layer's tree has at the path, and on the way to it. What that hides of the layers beneath, the first that
  /// does keeps.
  void look_at(std::size_t layer) {
    Explanation::AtLayer& at = result_.layers.emplace_back();
    at.layer = ids_[layer];
    at.cover = cover_;
    std::optional<Cover> casts;
    const auto hides = [&](Cover::Kind how, std::size_t names) {
      if (!casts) casts = Cover{how, ids_[layer], joined(names_, names)};
    };
    int dir = view_.root_descriptor(layer);
    FileDescriptor held;
    if (names_.empty()) at.has = Kind::directory;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const bool last = i + 1 == names_.size();
      const auto metadata = try_stat(dir, names_[i], joined(names_, i));
      if (!metadata) break;
      const Kind kind = kind_of(*metadata);
      if (last) at.has = kind;
      if (kind != Kind::directory) {
        if (last && kind == Kind::whiteout && is_unmade(layer)) at.has = Kind::unmade;
        hides(kind == Kind::whiteout && at.has != Kind::unmade ? Cover::Kind::whiteout : Cover::Kind::replaced, i + 1);
        break;
      }
      const auto mark = read_xattr(dir, names_[i], opaque_mark_, joined(names_, i));
      if (mark == "y") {
        hides(Cover::Kind::opaque, i + 1);
        at.opaque = last;
      }
      if (last) break;
      held = open_beneath(dir, names_[i], O_PATH | O_DIRECTORY, joined(names_, i));
      dir = held.get();
    }
    const bool is_there = at.has != Kind::nothing && at.has != Kind::whiteout;
    if (is_there && !at.cover && at.has != Kind::directory && merged_)
      at.cover = Cover{Cover::Kind::replaced, *merged_, result_.path};
    at.shown = is_there && !at.cover;
    if (at.shown && at.has == Kind::directory && !merged_) merged_ = ids_[layer];
    if (!cover_) cover_ = casts;
    casts_.push_back(std::move(casts));
  }

  FileDescriptor open_tree(std::size_t layer) const { return open_directory(core_.tree_directory(keys_[layer])); }

  bool is_unmade(std::size_t layer) const {
    const auto missing = read_small_file(open_tree(layer).get(), "missing");
    if (!missing) return false;
    return std::ranges::any_of(decode_moved(*missing), [&](const auto& entry) { return entry.second == result_.path; });
  }

  /// The topmost layer whose tar has an entry for the directory: the trees above it, which only imply it, have its
  /// attributes from there, through an opaque mark of its own too, but through nothing else that hides (A3, A11).
  std::optional<Digest> describing_layer() const {
    if (names_.empty()) {
      if (top_.root_tree < 0) return std::nullopt;
      return chain_[chain_.size() - 1 - static_cast<std::size_t>(top_.root_tree)];
    }
    for (std::size_t layer = 0; layer < result_.layers.size(); ++layer) {
      const Source source = result_.layers[layer].has == Kind::directory ? source_of(layer) : Source::below;
      if (source == Source::entry) return ids_[layer];
      const std::optional<Cover>& casts = casts_[layer];
      const bool own_mark = casts && casts->kind == Cover::Kind::opaque && casts->path == result_.path;
      if (source == Source::none || (casts && !own_mark)) break;
    }
    return std::nullopt;
  }

  /// Where the attributes of a layer's directory come from.
  enum class Source { entry, below, none };

  Source source_of(std::size_t layer) const {
    const FileDescriptor tree = open_tree(layer);
    const auto record = find_tree_record(tree.get());
    if (record && record->as_listed) return Source::entry;
    RecipeHeaders tar(tree.get(), record ? record->tar_size : ~std::uint64_t{0});
    TarReader reader(tar);
    Report ignored;
    TreeBuilder judge(-1, -1, {}, ignored);
    while (const TarEntry* entry = reader.next()) judge.add(*entry);
    LayerIndex::Id at = LayerIndex::root;
    for (const std::string& name : names_)
      if (at != LayerIndex::none) at = judge.index().child(at, name);
    if (at == LayerIndex::none) return Source::below;
    if (judge.index()[at].kind == LayerIndex::Kind::directory) return Source::entry;
    return judge.index()[at].whiteout ? Source::none : Source::below;
  }

  /// The target of a symlink; the other names of what has several.
  void tell_file(std::size_t layer) {
    const int root = view_.root_descriptor(layer);
    const FileDescriptor parent = open_beneath(root, joined(names_, names_.size() - 1), O_PATH | O_DIRECTORY, "");
    const auto metadata = try_stat(parent.get(), names_.back(), result_.path);
    if (!metadata) throw_error(errc::in_use, "look at", quoted(result_.path), "another process takes files away");
    if (metadata->is_symlink()) result_.target = read_link(parent.get(), names_.back(), result_.path);
    if (metadata->links < 2) return;
    std::vector<std::string> directories{""};
    while (!directories.empty()) {
      const std::string path = std::move(directories.back());
      directories.pop_back();
      const FileDescriptor dir = open_beneath(root, path, O_RDONLY | O_DIRECTORY, "");
      for (const DirectoryEntry& entry : list_directory(dir.get(), path)) {
        std::string below = path.empty() ? entry.name : path + "/" + entry.name;
        const auto other = try_stat(dir.get(), entry.name, below);
        if (!other) continue;
        if (other->is_directory())
          directories.push_back(std::move(below));
        else if (other->inode == metadata->inode && below != result_.path)
          result_.links.push_back(std::move(below));
      }
    }
    std::ranges::sort(result_.links);
  }

  const StoreCore& core_;
  const Layer top_;
  const MergedView view_;
  const std::string opaque_mark_ = std::string(overlay_prefix(core_.form())) + "opaque";
  // Topmost first: the whole chain; and the view's layers, with their trees.
  std::vector<Digest> chain_, ids_, keys_;
  Names names_;
  Explanation result_;
  std::optional<Cover> cover_;
  std::vector<std::optional<Cover>> casts_;  // what each layer hides of those beneath it
  std::optional<Digest> merged_;             // the topmost layer that has it as a directory
};

}  // namespace

Explanation explain_path(const StoreCore& core, const Digest& id, std::string_view path) {
  return Explainer(core, id).run(path);
}

}  // namespace detail

}  // namespace strata
