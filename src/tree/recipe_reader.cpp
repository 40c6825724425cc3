#include "tree/recipe_reader.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "tree/directory.hpp"
#include "tree/recipe.hpp"
#include "tree/recipe_format.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace strata::detail {

namespace {

constexpr std::size_t path_limit = 8192;  // a directory of 4,095 bytes, and a name in it
constexpr std::uint64_t largest_file = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t buffer_size = 128U << 10;

[[noreturn]] void broken(const std::string& detail) {
  throw_error(errc::damaged, "read", "the recipe of a tree", detail, repair_remedy);
}

/// Refuses a path that leads out of the tree, or that the kernel would read only half of.
void check_path(std::string_view path) {
  const std::string bounded = "/" + std::string(path) + "/";
  if (path.starts_with('/') || bounded.find("/../") != bounded.npos || path.find('\0') != path.npos)
    broken("it has the path " + quoted(path) + ", which a tree can't have");
}

std::uint64_t take_number(std::string_view& text) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (text.empty()) broken("it ends within a number");
    const auto byte = static_cast<unsigned char>(text.front());
    text.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return value;
  }
  broken("it has a number of more than 64 bits");
}

}  // namespace

std::map<std::uint32_t, std::string> decode_moved(std::string_view text) {
  std::map<std::uint32_t, std::string> moved;
  while (!text.empty()) {
    const std::uint64_t ordinal = take_number(text);
    const std::uint64_t size = take_number(text);
    if (size > text.size() || ordinal > ~std::uint32_t{0}) broken("its list of moved files is cut");
    const std::string_view path = text.substr(0, size);
    check_path(path);
    moved[static_cast<std::uint32_t>(ordinal)] = path;  // a later move of the same file wins
    text.remove_prefix(size);
  }
  return moved;
}

std::uint64_t RecipeContent::stored_size() const {
  std::uint64_t size = 0;  // extents don't overlap, so this is no more than a file can have
  for (const SparseExtent& extent : extents) size += extent.size;
  return size;
}

namespace {

FileDescriptor open_recipe(int tree) {
  FileDescriptor fd(sys::openat(tree, "recipe", O_RDONLY | O_NOFOLLOW));
  if (!fd) throw_errno(errno, "open", "the recipe of a tree");
  return fd;
}

}  // namespace

RecipeReader::RecipeReader(int tree)
    : file_(open_recipe(tree), "the recipe"), decoded_(CompressionPolicy::of<Zstd>().decode(file_)) {
  if (const auto text = read_small_file(tree, "moved")) moved_ = decode_moved(*text);
  if (const FileDescriptor kept = try_open_beneath(tree, "kept", O_RDONLY | O_DIRECTORY))
    for (const DirectoryEntry& entry : list_directory(kept.get())) kept_.insert(entry.name);
  if (text(recipe_magic.size()) != recipe_magic) broken("it isn't one");
}

void RecipeReader::fill() {
  if (at_ != filled_) return;
  // Who was given a piece of a literal may still hold it.
  if (buffer_ == nullptr || buffer_.use_count() != 1)
    buffer_ = std::make_shared_for_overwrite<std::byte[]>(buffer_size);
  filled_ = decoded_->read({buffer_.get(), buffer_size});
  at_ = 0;
  if (filled_ == 0) broken("it is cut");
}

unsigned char RecipeReader::byte() {
  fill();
  return static_cast<unsigned char>(buffer_[static_cast<std::ptrdiff_t>(at_++)]);
}

std::uint64_t RecipeReader::number() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const unsigned char b = byte();
    value |= std::uint64_t{b & 0x7fU} << shift;
    if (b < 0x80) return value;
  }
  broken("it has a number of more than 64 bits");
}

void RecipeReader::take(std::span<std::byte> into) {
  while (!into.empty()) {
    fill();
    const std::size_t n = std::min(into.size(), filled_ - at_);
    std::memcpy(into.data(), buffer_.get() + at_, n);
    at_ += n;
    into = into.subspan(n);
  }
}

std::string RecipeReader::text(std::size_t size) {
  std::string text(size, '\0');
  take(std::as_writable_bytes(std::span(text)));
  return text;
}

RecipeReader::Record RecipeReader::next() {
  while (!literal().bytes.empty()) {
  }
  switch (byte()) {
    case 'L':
      literal_left_ = number();
      return Record::literal;
    case 'F':
      read_content(false);
      return Record::content;
    case 'S':
      read_content(true);
      return Record::content;
    case 'E':
      return Record::end;
    default:
      broken("it has an unknown record");
  }
}

Block RecipeReader::literal() {
  if (literal_left_ == 0) return {};
  fill();
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(literal_left_, filled_ - at_));
  Block piece{{buffer_.get() + at_, n}, buffer_};
  at_ += n;
  literal_left_ -= n;
  return piece;
}

void RecipeReader::read_content(bool sparse) {
  const std::uint64_t ordinal = number();
  if (ordinal > ~std::uint32_t{0}) broken("it has a content of too large a number");
  content_.ordinal = static_cast<std::uint32_t>(ordinal);
  const std::uint64_t path_size = number();
  if (path_size > path_limit) broken("it has a path that is too long");
  content_.path = text(path_size);
  check_path(content_.path);
  content_.sparse = sparse;
  content_.extents.clear();
  if (sparse) {
    const std::uint64_t count = number();
    if (count > TarLimits{}.extents) broken("it has a file of too many extents");
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t offset = number();
      content_.extents.push_back({offset, number()});
    }
  } else {
    content_.extents.push_back({0, number()});
  }
  std::uint64_t end = 0;
  for (const SparseExtent& one : content_.extents) {
    if (one.offset < end || one.offset > largest_file || one.size > largest_file - one.offset)
      broken("it has extents that no file can have");
    end = one.offset + one.size;
  }
  if (const auto to = moved_.find(content_.ordinal); to != moved_.end()) content_.path = to->second;
  content_.kept = kept_.contains(std::to_string(content_.ordinal));
  take(content_.checksum);
}

RecipeHeaders::RecipeHeaders(int tree, std::uint64_t size, Visit visit)
    : recipe_(tree), left_(size), visit_(std::move(visit)) {}

void RecipeHeaders::count(std::uint64_t bytes) {
  if (bytes > left_) broken("it gives more bytes than the layer tar had");
  left_ -= bytes;
}

Block RecipeHeaders::next_block() {
  static constexpr std::byte zeros[64U << 10]{};
  for (;;) {
    if (zeros_left_ != 0) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(zeros_left_, sizeof zeros));
      zeros_left_ -= n;
      return {std::span(zeros).first(n), nullptr};
    }
    if (Block piece = recipe_.literal(); !piece.bytes.empty()) {
      count(piece.bytes.size());
      return piece;
    }
    if (record_ == RecipeReader::Record::end) return {};
    record_ = recipe_.next();
    if (record_ != RecipeReader::Record::content) continue;
    zeros_left_ = recipe_.content().stored_size();
    count(zeros_left_);
    if (visit_) visit_(recipe_.content());
  }
}

}  // namespace strata::detail
