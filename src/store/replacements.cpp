#include "store/replacements.hpp"

#include <strata/error.hpp>

#include "store/verify.hpp"
#include "stream/layer_stream.hpp"
#include "tree/copy.hpp"
#include "tree/directory.hpp"

#include <algorithm>

namespace strata::detail {

namespace {

/// A layer's tar, of which pieces are taken one after the other. A tar that is too short gives nothing at its end: its
/// digest will tell.
class TarPieces {
 public:
  explicit TarPieces(LayerStream& stream) : stream_(stream) {}

  template <class See>
  void take(std::uint64_t size, See see) {
    while (size != 0) {
      if (block_.bytes.empty()) block_ = stream_.next_block();
      if (block_.bytes.empty()) return;
      const auto piece =
          block_.bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(size, block_.bytes.size())));
      see(piece);
      size -= piece.size();
      block_.bytes = block_.bytes.subspan(piece.size());
    }
  }
  void skip(std::uint64_t size) {
    take(size, [](std::span<const std::byte>) {});
  }

 private:
  LayerStream& stream_;
  Block block_;
};

FileDescriptor create(int directory, const std::string& name) {
  FileDescriptor file(sys::openat(directory, name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  if (!file) throw_errno(errno, "create", "a replacement for a content");
  return file;
}

void write_at(int file, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = sys::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0) throw_errno(errno, "write", "a replacement for a content");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

}  // namespace

Replacements::Replacements(const StoreCore& core, const Layer& layer, int tree, const ExpectedTree& expected,
                           int directory, const Control& control)
    : core_(core),
      layer_(layer),
      tree_(tree),
      expected_(expected),
      directory_(directory),
      control_(control),
      check_(control.stop) {}

std::string Replacements::name(Id content) const {
  const std::uint32_t ordinal = expected_.contents()[content].ordinal;
  return ordinal != ExpectedTree::none ? std::to_string(ordinal) : "below-" + std::to_string(content);
}

void Replacements::remove(Id content) {
  (void)sys::unlinkat(directory_, name(content).c_str(), 0);
  had_.erase(content);
}

void Replacements::take_from_trees() {
  by_checksum_.clear();
  for (const Id content : wanted_)
    if (!has(content)) by_checksum_.emplace(expected_.contents()[content].checksum, content);
  if (by_checksum_.empty()) return;
  look_at_other_names();
  // The chain's own are the likeliest; the tree itself may have the content twice.
  for (auto key = layer_.trees.rbegin(); key != layer_.trees.rend(); ++key)
    look_into_tree(*key, key != layer_.trees.rbegin());
  for (const Digest& key : core_.names_in("trees"))
    if (std::ranges::find(layer_.trees, key) == layer_.trees.end()) look_into_tree(key, false);
}

/// What is bad under one name of a file may be good under another.
void Replacements::look_at_other_names() {
  std::map<ExpectedTree::Id, Id> by_file;
  for (const auto& [checksum, content] : by_checksum_)
    if (const ExpectedTree::Id file = expected_.contents()[content].node; file != ExpectedTree::none)
      by_file[file] = content;
  for (ExpectedTree::Id name = 0; name < expected_.size(); ++name) {
    const auto content = by_file.find(expected_[name].link);
    if (content == by_file.end() || has(content->second)) continue;
    const std::string path = "fs/" + expected_.path(name);
    const FileDescriptor from = try_open_beneath(tree_, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (from && copy(content->second, from.get(), path)) had_.insert(content->second);
  }
  std::erase_if(by_checksum_, [this](const auto& one) { return has(one.second); });
}

/// A tree that is itself damaged, or goes away meanwhile, has nothing to give.
void Replacements::look_into_tree(const Digest& key, bool is_below) try {
  if (by_checksum_.empty()) return;
  const FileDescriptor tree = try_open_beneath(core_.root_descriptor(), core_.tree_path(key), O_PATH | O_DIRECTORY);
  if (!tree) return;
  RecipeReader recipe(tree.get());
  for (auto record = recipe.next(); record != RecipeReader::Record::end; record = recipe.next()) {
    if (control_.stop.stop_requested()) throw_error(errc::cancelled, "repair", layer_.id.to_string());
    if (record != RecipeReader::Record::content) continue;
    const RecipeContent& there = recipe.content();
    const auto [begin, end] = by_checksum_.equal_range(there.checksum);
    for (auto at = begin; at != end;) {
      const ExpectedTree::Content& content = expected_.contents()[at->second];
      const bool is_from_below = content.ordinal == ExpectedTree::none;
      const std::vector<SparseExtent>& extents = expected_.extents(content);
      const bool fits = (!is_from_below || is_below) && there.sparse == !extents.empty() &&
                        (there.sparse ? there.extents == extents : there.stored_size() == content.size);
      const std::string path = there.kept ? there.kept_path() : "fs/" + there.path;
      const FileDescriptor from =
          fits ? try_open_beneath(tree.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) : FileDescriptor();
      if (from && copy(at->second, from.get(), path)) {
        had_.insert(at->second);
        at = by_checksum_.erase(at);
      } else {
        ++at;
      }
    }
  }
} catch (const Error& error) {
  if (error.code() == errc::cancelled || error.code() == boost::system::errc::no_space_on_device) throw;
}

bool Replacements::copy(Id id, int from, const std::string& path) {
  const ExpectedTree::Content& content = expected_.contents()[id];
  const Metadata metadata = stat_of(from, path);
  const bool as_large =
      expected_.extents(content).empty() ? metadata.size == content.size : metadata.size >= content.size;
  if (!metadata.is_file() || !as_large) return false;
  const FileDescriptor file = create(directory_, name(id));
  copy_content(from, file.get(), content.size, path);
  if (check_.matches(file.get(), content.size, expected_.extents(content), content.checksum, path)) return true;
  remove(id);
  return false;
}

bool Replacements::has_all_of_tar() const {
  return std::ranges::all_of(wanted_, [this](Id content) { return has(content) || !is_of_tar(content); });
}

bool Replacements::is_proven() const {
  if (std::ranges::none_of(wanted_, [this](Id content) { return is_of_tar(content); })) return true;
  try {
    return rebuilt_diff_id(core_, tree_, directory_, control_) == layer_.diff_id();
  } catch (const Error& error) {
    if (error.code() == errc::damaged) return false;
    throw;
  }
}

void Replacements::drop_candidates() {
  const std::set<Id> had = had_;
  for (const Id content : had)
    if (is_of_tar(content)) remove(content);
}

void Replacements::take_from_layer(ByteSource& source) {
  std::map<std::uint32_t, Id> by_ordinal;
  for (const Id content : wanted_)
    if (is_of_tar(content)) by_ordinal[expected_.contents()[content].ordinal] = content;
  Budget budget = Budget::none();
  budget.tar_bytes = layer_.tar_size;
  LayerStream stream(source, core_.hash(), core_.codecs(), control_, budget);
  drop_candidates();
  try {
    // The tar is what the recipe says, piece by piece: where it isn't, its digest isn't either.
    TarPieces tar(stream);
    RecipeReader recipe(tree_);
    for (auto record = recipe.next(); record != RecipeReader::Record::end; record = recipe.next()) {
      if (record == RecipeReader::Record::literal) {
        for (Block piece = recipe.literal(); !piece.bytes.empty(); piece = recipe.literal())
          tar.skip(piece.bytes.size());
        continue;
      }
      const RecipeContent& there = recipe.content();
      const auto wanted = by_ordinal.find(there.ordinal);
      if (wanted == by_ordinal.end()) {
        tar.skip(there.stored_size());
        continue;
      }
      had_.insert(wanted->second);
      const FileDescriptor file = create(directory_, name(wanted->second));
      for (const SparseExtent& extent : there.extents) {
        std::uint64_t at = extent.offset;
        tar.take(extent.size, [&](std::span<const std::byte> bytes) {
          write_at(file.get(), bytes, at);
          at += bytes.size();
        });
      }
      const std::uint64_t size = expected_.contents()[wanted->second].size;
      if (sys::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
        throw_errno(errno, "write", "a replacement for a content");
    }
    while (!stream.next_block().bytes.empty()) {
    }
    if (const Digest found = stream.finish().diff_id; found != layer_.diff_id())
      throw_error(errc::digest_mismatch, "repair " + layer_.id.to_string() + " from", stream.name(),
                  "it is another layer: its diff id is " + found.to_string() + ", not " + layer_.diff_id().to_string());
  } catch (...) {
    drop_candidates();
    throw;
  }
}

}  // namespace strata::detail
