#include "tree/recipe.hpp"

#include <strata/error.hpp>

#include "compression/zstd_frame.hpp"
#include "tree/directory.hpp"
#include "tree/recipe_format.hpp"
#include "tree/recipe_reader.hpp"

#include <algorithm>
#include <cstring>
#include <set>

namespace strata::detail {

namespace {

constexpr std::size_t literal_limit = 64U << 10;
constexpr int zstd_level = 1;  // headers are so alike that higher levels gain little

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void append_number(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) to += static_cast<char>(value | 0x80);
  to += static_cast<char>(value);
}

}  // namespace

RecipeWriter::RecipeWriter(ByteSink& file) : file_(file) { buffer_ = recipe_magic; }
RecipeWriter::~RecipeWriter() = default;

void RecipeWriter::put(std::span<const std::byte> bytes) {
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void RecipeWriter::number(std::uint64_t value) { append_number(buffer_, value); }

void RecipeWriter::flush() {
  if (buffer_.size() < literal_limit) return;
  if (!compressed_) compressed_ = CompressionPolicy::of<Zstd>(Zstd{.level = zstd_level}).encode(file_);
  compressed_->write(bytes_of(buffer_));
  buffer_.clear();
}

void RecipeWriter::literal(std::span<const std::byte> bytes) {
  // One record for all literal bytes between two contents, within reason.
  literal_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (literal_.size() >= literal_limit) flush_literal();
}

void RecipeWriter::flush_literal() {
  if (literal_.empty()) return;
  buffer_ += 'L';
  number(literal_.size());
  buffer_ += literal_;
  literal_.clear();
  flush();
}

void RecipeWriter::begin_content(std::uint32_t ordinal, const std::string& path, std::uint64_t size,
                                 const std::vector<SparseExtent>& extents) {
  flush_literal();
  buffer_ += extents.empty() ? 'F' : 'S';
  number(ordinal);
  number(path.size());
  buffer_ += path;
  if (extents.empty()) {
    number(size);
  } else {
    number(extents.size());
    for (const SparseExtent& extent : extents) {
      number(extent.offset);
      number(extent.size);
    }
  }
  hash_ = Xxh3();
}

void RecipeWriter::content(std::span<const std::byte> bytes) { hash_.update(bytes); }

void RecipeWriter::end_content() {
  std::byte digest[Xxh3::digest_size];
  hash_.finish(digest);
  put(std::span(digest).first(checksum_size));
  flush();
}

void RecipeWriter::finish() {
  flush_literal();
  buffer_ += 'E';
  // A small one at once: a stream's tables are a hundred times as large, and to be zeroed.
  if (!compressed_) return file_.write(zstd_frame(bytes_of(buffer_), zstd_level));
  compressed_->write(bytes_of(buffer_));
  compressed_->finish();
}

std::string encode_moved(const Moved& moved) {
  std::string text;
  for (const auto& [ordinal, path] : moved) {
    append_number(text, ordinal);
    append_number(text, path.size());
    text += path;
  }
  return text;
}

struct RecipeSource::Impl {
  Impl(int tree_fd, Damaged handler, int replacements_fd)
      : tree(tree_fd),
        replacements(replacements_fd),
        fs(open_beneath(tree_fd, "fs", O_PATH | O_DIRECTORY)),
        recipe(tree_fd),
        damaged(std::move(handler)) {
    if (replacements < 0) return;
    for (const DirectoryEntry& entry : list_directory(replacements)) replaced.insert(entry.name);
  }

  void report(const std::string& what) {
    const std::string& path = recipe.content().path;
    if (!damaged) throw_error(errc::damaged, "read from the tree", quoted(path), what, repair_remedy);
    if (!reported) damaged(path, what);
    reported = true;
  }

  void next_record() {
    const RecipeReader::Record record = recipe.next();
    ended = record == RecipeReader::Record::end;
    if (record == RecipeReader::Record::content) open_content();
  }

  FileDescriptor open_file(const RecipeContent& of) const {
    constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    if (const std::string name = std::to_string(of.ordinal); replaced.contains(name))
      return try_open_beneath(replacements, name, flags);
    return of.kept ? try_open_beneath(tree, of.kept_path(), flags) : try_open_beneath(fs.get(), of.path, flags);
  }

  void open_content() {
    const RecipeContent& content = recipe.content();
    reported = false;
    hash = Xxh3();
    extent = 0;
    done = 0;
    in_content = true;
    file = open_file(content);
    if (!file) return report("it is missing");
    const Metadata metadata = stat_of(file.get(), content.path);
    if (!metadata.is_file()) {
      file.reset();
      return report("it is no regular file");
    }
    if (!content.sparse && metadata.size != content.extents[0].size)
      report("its size is " + std::to_string(metadata.size) + " bytes instead of " +
             std::to_string(content.extents[0].size));
  }

  std::size_t read_content(std::span<std::byte> into) {
    const SparseExtent& now = recipe.content().extents[extent];
    const std::size_t want = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), now.size - done));
    std::size_t got = 0;
    if (file) {
      const ssize_t n = sys::pread(file.get(), into.data(), want, static_cast<off_t>(now.offset + done));
      if (n < 0) {
        const int error = errno;
        if (!damaged) throw_errno(error, "read from the tree", quoted(recipe.content().path));
        report(std::strerror(error));
      }
      got = n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    if (got == 0) {
      if (file) report("it is too short");
      std::memset(into.data(), 0, want);
      got = want;
    }
    hash.update(into.first(got));
    done += got;
    return got;
  }

  void end_content() {
    in_content = false;
    file.reset();
    std::byte digest[Xxh3::digest_size];
    hash.finish(digest);
    if (!std::ranges::equal(std::span(digest).first(checksum_size), recipe.content().checksum) && !reported)
      report("its content has changed");
  }

  int tree;
  int replacements;
  FileDescriptor fs;
  RecipeReader recipe;
  Damaged damaged;
  std::set<std::string> replaced;
  Block literal;
  bool ended = false;
  bool in_content = false;
  FileDescriptor file;
  std::size_t extent = 0;
  std::uint64_t done = 0;
  bool reported = false;
  Xxh3 hash;
};

RecipeSource::RecipeSource(int tree, Damaged damaged, int replacements)
    : impl_(std::make_unique<Impl>(tree, std::move(damaged), replacements)) {}
RecipeSource::~RecipeSource() = default;

std::size_t RecipeSource::read(std::span<std::byte> into) {
  Impl& r = *impl_;
  std::size_t filled = 0;
  while (filled < into.size()) {
    const auto rest = into.subspan(filled);
    if (r.literal.bytes.empty()) r.literal = r.recipe.literal();
    if (!r.literal.bytes.empty()) {
      const std::size_t n = std::min(rest.size(), r.literal.bytes.size());
      std::memcpy(rest.data(), r.literal.bytes.data(), n);
      r.literal.bytes = r.literal.bytes.subspan(n);
      filled += n;
    } else if (r.in_content) {
      const std::vector<SparseExtent>& extents = r.recipe.content().extents;
      if (r.extent == extents.size()) {
        r.end_content();
      } else if (r.done == extents[r.extent].size) {
        ++r.extent;
        r.done = 0;
      } else {
        filled += r.read_content(rest);
      }
    } else if (r.ended) {
      break;
    } else {
      r.literal = {};  // so that its buffer can be used again
      r.next_record();
    }
  }
  return filled;
}

}  // namespace strata::detail
