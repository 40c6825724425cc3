#include "store/expected.hpp"

#include <strata/compression.hpp>
#include <strata/error.hpp>

#include "store/tree_entries.hpp"
#include "store/tree_record.hpp"
#include "tree/directory.hpp"
#include "tree/entry_path.hpp"
#include "tree/recipe_format.hpp"

#include <algorithm>
#include <charconv>

namespace strata::detail {

namespace {

[[noreturn]] void damaged(const std::string& subject, const std::string& detail) {
  throw_error(errc::damaged, "read", subject, detail, repair_remedy);
}

ContentChecksum checksum_from(const std::string& hex) {
  ContentChecksum checksum{};
  for (std::size_t i = 0; i < checksum.size(); ++i) {
    unsigned value = 0;
    const char* const at = hex.data() + std::min(2 * i, hex.size());
    const auto [end, error] = std::from_chars(at, std::min(at + 2, hex.data() + hex.size()), value, 16);
    if (error != std::errc() || end != at + 2)
      damaged("the list of the tree's entries", "it has no checksum in " + quoted(hex));
    checksum[i] = static_cast<std::byte>(value);
  }
  return checksum;
}

}  // namespace

ExpectedTree::ExpectedTree(int tree, const Layer& layer, UnionForm form, const std::stop_token& stop) : stop_(stop) {
  const auto record = find_tree_record(tree);
  if (!record) damaged("the record of the tree", "there is none");
  if (record->diff_id != layer.diff_id())
    damaged("the record of the tree", "it is one of " + record->diff_id.to_string());
  const auto names = static_cast<std::size_t>(std::min<std::uint64_t>(layer.entries + 1, 1U << 20));
  nodes_.reserve(names);
  contents_.reserve(names);
  node(root).type = TarType::directory;
  if (record->as_listed) {
    read_headers(tree, layer);
  } else {
    is_list_ = true;
    read_list(tree, std::string(overlay_prefix(form)) + "opaque");
    read_contents(tree, layer);
  }
}

void ExpectedTree::check_stop() const {
  if (stop_.stop_requested()) throw_error(errc::cancelled, "verify", "the layer");
}

/// Of a tree that is what its entries say: they say it all.
void ExpectedTree::read_headers(int tree, const Layer& layer) {
  RecipeHeaders tar(tree, layer.tar_size, [this](const RecipeContent& content) { add_content(content); });
  TarReader reader(tar);
  while (const TarEntry* entry = reader.next()) {
    if (reader.entries() % 256 == 0) check_stop();
    note(*entry);
  }
}

void ExpectedTree::read_contents(int tree, const Layer& layer) {
  RecipeHeaders tar(tree, layer.tar_size, [this](const RecipeContent& content) { add_content(content); });
  while (!tar.next_block().bytes.empty()) check_stop();
}

void ExpectedTree::note(const TarEntry& entry) {
  const EntryPath path = split_entry_path(entry.path, "entry");
  std::vector<std::string_view> names;
  std::string_view hidden;
  for (const std::string_view part : path.names) {
    switch (classify_name(part, hidden, entry.path)) {
      case NameKind::ordinary:
        names.push_back(part);
        continue;
      case NameKind::whiteout: {
        names.push_back(hidden);
        Node& mark = node(get(names));
        mark.type = TarType::character;
        mark.whiteout = mark.there = true;
        return;
      }
      case NameKind::opaque:
        node(get(names)).opaque = true;
        return;
      case NameKind::aufs:
        return;
    }
  }
  if (names.empty() && entry.type != TarType::directory) return;
  if (entry.type == TarType::character && entry.device_major == 0 && entry.device_minor == 0) return;
  Xattrs xattrs = entry.xattrs;
  std::erase_if(xattrs, [](const auto& attribute) { return is_overlay_xattr(attribute.first); });
  describe(get(names), entry, std::move(xattrs)).size = entry.size;
}

void ExpectedTree::read_list(int tree, const std::string& opaque_mark) {
  const std::string shown = "the list of the tree's entries";
  FileDescriptor fd(sys::openat(tree, "entries", O_RDONLY | O_NOFOLLOW));
  if (!fd) throw_errno(errno, "open", shown, "", repair_remedy);
  FileSource file(std::move(fd), shown);
  const auto decoded = CompressionPolicy::of<Zstd>().decode(file);
  TarReader reader(*decoded);
  while (const TarEntry* entry = reader.next()) {
    if (reader.entries() % 256 == 0) check_stop();
    const Id id = get(split_entry_path(entry->path, "entry").names);
    Xattrs xattrs = entry->xattrs;
    const bool opaque = xattrs.erase(opaque_mark) != 0;
    Node& one = describe(id, *entry, std::move(xattrs));
    one.opaque = opaque;
    one.whiteout = entry->type == TarType::character && one.device == 0;
    if (const auto size = entry->other_records.find(entry_size); size != entry->other_records.end())
      one.size = std::strtoull(size->second.c_str(), nullptr, 10);
    if (const auto sum = entry->other_records.find(entry_checksum);
        sum != entry->other_records.end() && one.size != 0) {
      one.content = static_cast<std::uint32_t>(contents_.size());
      contents_.push_back({none, id, one.size, checksum_from(sum->second), none});
    }
  }
}

ExpectedTree::Node& ExpectedTree::describe(Id id, const TarEntry& entry, Xattrs xattrs) {
  xattrs.erase("security.selinux");  // the host labels its files
  Node& one = node(id);
  one.there = true;
  one.type = entry.type;
  one.mode = entry.mode & 07777;
  one.uid = entry.uid;
  one.gid = entry.gid;
  one.mtime = entry.mtime;
  one.device = makedev(entry.device_major, entry.device_minor);
  one.more = none;  // a directory may be described twice, and the later entry counts
  if (entry.type == TarType::hardlink) {
    const Id target = find(entry.link);
    if (target == none || target == id || !nodes_[target].there)
      damaged("the entries of a tree", quoted(entry.path) + " is a link to nothing");
    one.link = first_name(target);
    one.type = nodes_[one.link].type;
    return one;
  }
  if (entry.type != TarType::symlink && xattrs.empty()) return one;
  one.more = static_cast<std::uint32_t>(more_.size());
  more_.push_back({entry.type == TarType::symlink ? entry.link : std::string(), std::move(xattrs)});
  return one;
}

/// The recipe names a file by one of its names.
void ExpectedTree::add_content(const RecipeContent& content) {
  Content one{content.ordinal, none, 0, content.checksum, none};
  if (content.sparse || content.kept) {
    one.more = static_cast<std::uint32_t>(more_contents_.size());
    more_contents_.push_back({content.sparse ? content.extents : std::vector<SparseExtent>(), content.path});
  }
  if (content.kept) {
    has_kept_ = true;
    one.size = content.extents.empty() ? 0 : content.extents.back().offset + content.extents.back().size;
  } else {
    const Id found = find_near(content.path);
    if (found == none && is_beyond_list(content.path)) return;
    if (found == none || !nodes_[found].there || nodes_[found].type != TarType::file)
      damaged("the recipe of a tree", "it has a content of " + quoted(content.path) + ", which is no file of the tree");
    one.node = first_name(found);
    Node& file = nodes_[one.node];
    one.size = file.size;
    if (!content.sparse && content.stored_size() != file.size)
      damaged("the recipe of a tree", "the content of " + quoted(content.path) + " has another size than the file");
    file.content = static_cast<std::uint32_t>(contents_.size());
  }
  contents_.push_back(one);
}

bool ExpectedTree::is_unrecorded(Id id) const {
  const Node& one = nodes_[id];
  return has_kept_ && one.type == TarType::file && one.size != 0 && one.content == none;
}

bool ExpectedTree::is_closed(Id directory) const {
  return is_list_ && (nodes_[directory].mode & 0100) == 0 && index_[directory].first_child == none;
}

bool ExpectedTree::is_beyond_list(std::string_view path) const {
  Id at = root;
  for (const std::string_view name : split_entry_path(path, "path").names) {
    if (is_closed(at)) return true;
    at = index_.child(at, name);
    if (at == none) break;
  }
  return false;
}

const std::vector<SparseExtent>& ExpectedTree::extents(const Content& content) const {
  static const std::vector<SparseExtent> nothing;
  return content.more == none ? nothing : more_contents_[content.more].extents;
}

std::string ExpectedTree::path(const Content& content) const {
  return content.node == none ? more_contents_[content.more].path : path(content.node);
}

/// What comes together is in one directory, most of the time.
ExpectedTree::Id ExpectedTree::get(std::span<const std::string_view> names) {
  if (names.empty()) return root;
  const auto parents = names.first(names.size() - 1);
  if (!std::ranges::equal(parents, last_parents_)) {
    last_parent_ = root;
    for (const std::string_view name : parents) last_parent_ = index_.get(last_parent_, name);
    last_parents_.assign(parents.begin(), parents.end());
  }
  return index_.get(last_parent_, names.back());
}

ExpectedTree::Id ExpectedTree::find_near(std::string_view path) {
  const EntryPath split = split_entry_path(path, "path");
  if (split.names.empty()) return root;
  const auto parents = std::span(split.names).first(split.names.size() - 1);
  if (!std::ranges::equal(parents, last_parents_)) {
    Id parent = root;
    for (const std::string_view name : parents)
      if ((parent = index_.child(parent, name)) == none) return none;
    last_parent_ = parent;
    last_parents_.assign(parents.begin(), parents.end());
  }
  return index_.child(last_parent_, split.names.back());
}

ExpectedTree::Id ExpectedTree::find(std::string_view path) const {
  Id at = root;
  for (const std::string_view name : split_entry_path(path, "path").names) {
    at = index_.child(at, name);
    if (at == none) break;
  }
  return at;
}

ExpectedTree::Node& ExpectedTree::node(Id id) {
  if (nodes_.size() < index_.size()) nodes_.resize(index_.size());
  return nodes_[id];
}

const ExpectedTree::More& ExpectedTree::more(Id id) const {
  static const More nothing;
  return nodes_[id].more == none ? nothing : more_[nodes_[id].more];
}

Attributes ExpectedTree::attributes(Id id) const {
  const Node& one = nodes_[id];
  return {one.mode, one.uid, one.gid, one.mtime, xattrs(id)};
}

}  // namespace strata::detail
