#include "tree/recipe.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

namespace strata::detail {

namespace {

// A recipe is one zstd stream of: the magic line, then records.
//   'L' size bytes                                     literal bytes of the tar
//   'F' ordinal path-size path size checksum           a whole file of the tree, or of kept/
//   'S' ordinal path-size path count {offset size} checksum   extents of a file
//   'E'                                                the end
// Numbers are LEB128. A checksum is the first 8 bytes of the XXH3-128 of the content.
constexpr std::string_view magic = "strata recipe 1\n";
constexpr std::size_t checksum_size = 8;
constexpr std::size_t path_limit = 8192;  // a directory of 4,095 bytes, and a name in it
constexpr std::uint64_t largest_file = std::numeric_limits<std::int64_t>::max();
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

RecipeWriter::RecipeWriter(ByteSink& file)
    : compressed_(CompressionPolicy::of<Zstd>(Zstd{.level = zstd_level}).encode(file)) {
  buffer_ = magic;
}
RecipeWriter::~RecipeWriter() = default;

void RecipeWriter::put(std::span<const std::byte> bytes) {
  buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void RecipeWriter::number(std::uint64_t value) { append_number(buffer_, value); }

void RecipeWriter::flush() {
  if (buffer_.size() < literal_limit) return;
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

namespace {

[[noreturn]] void broken(const std::string& detail) {
  throw_error(errc::damaged, "read", "the recipe of a tree", detail);
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

namespace {

FileDescriptor open_recipe(int tree) {
  FileDescriptor fd(sys::openat(tree, "recipe", O_RDONLY | O_NOFOLLOW));
  if (!fd) throw_errno(errno, "open", "the recipe of a tree");
  return fd;
}

}  // namespace

struct RecipeSource::Impl {
  Impl(int tree_fd, Damaged handler)
      : tree(tree_fd),
        fs(open_beneath(tree_fd, "fs", O_PATH | O_DIRECTORY)),
        file(open_recipe(tree_fd), "the recipe"),
        decoded(CompressionPolicy::of<Zstd>().decode(file)),
        damaged(std::move(handler)),
        buffer(128U << 10) {
    if (const auto text = read_small_file(tree_fd, "moved")) moved = decode_moved(*text);
    if (const FileDescriptor kept_fd = try_open_beneath(tree_fd, "kept", O_RDONLY | O_DIRECTORY))
      for (const DirectoryEntry& entry : list_directory(kept_fd.get())) kept.insert(entry.name);
    if (text_of(magic.size()) != magic) broken("it isn't one");
  }

  // The decoded recipe, byte-wise.
  void fill() {
    if (at != filled) return;
    filled = decoded->read(std::as_writable_bytes(std::span(buffer)));
    at = 0;
    if (filled == 0) broken("it is cut");
  }
  unsigned char byte() {
    fill();
    return static_cast<unsigned char>(buffer[at++]);
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const unsigned char b = byte();
      value |= std::uint64_t{b & 0x7fU} << shift;
      if (b < 0x80) return value;
    }
    broken("it has a number of more than 64 bits");
  }
  std::string text_of(std::size_t size) {
    std::string text;
    while (text.size() < size) {
      fill();
      const std::size_t n = std::min(size - text.size(), filled - at);
      text.append(buffer.data() + at, n);
      at += n;
    }
    return text;
  }

  void report(const std::string& what) {
    if (!damaged)
      throw_error(errc::damaged, "read from the tree", quoted(path), what, "verify the layer, and import it again");
    if (!reported) damaged(path, what);
    reported = true;
  }

  void next_record() {
    switch (byte()) {
      case 'L':
        literal = number();
        return;
      case 'F':
        open_content(false);
        return;
      case 'S':
        open_content(true);
        return;
      case 'E':
        ended = true;
        return;
      default:
        broken("it has an unknown record");
    }
  }

  void open_content(bool sparse) {
    const std::uint64_t ordinal = number();
    if (ordinal > ~std::uint32_t{0}) broken("it has a content of too large a number");
    const std::uint64_t path_size = number();
    if (path_size > path_limit) broken("it has a path that is too long");
    path = text_of(path_size);
    check_path(path);
    extents.clear();
    if (sparse) {
      const std::uint64_t count = number();
      if (count > TarLimits{}.extents) broken("it has a file of too many extents");
      for (std::uint64_t i = 0; i < count; ++i) {
        const std::uint64_t offset = number();
        extents.push_back({offset, number()});
      }
    } else {
      extents.push_back({0, number()});
    }
    std::uint64_t end = 0;
    for (const SparseExtent& one : extents) {
      if (one.offset < end || one.offset > largest_file || one.size > largest_file - one.offset)
        broken("it has extents that no file can have");
      end = one.offset + one.size;
    }
    reported = false;
    hash = Xxh3();
    extent = 0;
    done = 0;
    in_content = true;
    if (contents == Contents::zeros) {
      reported = true;  // so that nobody is told of zeros
      return;
    }
    if (const auto to = moved.find(static_cast<std::uint32_t>(ordinal)); to != moved.end()) path = to->second;
    const std::string aside = std::to_string(ordinal);
    constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
    const bool is_aside = kept.contains(aside);
    content = is_aside ? try_open_beneath(tree, "kept/" + aside, flags) : try_open_beneath(fs.get(), path, flags);
    if (!content) return report("it is missing");
    const Metadata metadata = stat_of(content.get(), path);
    if (!metadata.is_file()) {
      content.reset();
      return report("it is no regular file");
    }
    if (!sparse && metadata.size != extents[0].size)
      report("its size is " + std::to_string(metadata.size) + " bytes instead of " + std::to_string(extents[0].size));
  }

  std::size_t read_content(std::span<std::byte> into) {
    const SparseExtent& now = extents[extent];
    const std::size_t want = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), now.size - done));
    std::size_t got = 0;
    if (content) {
      const ssize_t n = sys::pread(content.get(), into.data(), want, static_cast<off_t>(now.offset + done));
      if (n < 0) {
        const int error = errno;
        if (!damaged) throw_errno(error, "read from the tree", quoted(path));
        report(std::strerror(error));
      }
      got = n > 0 ? static_cast<std::size_t>(n) : 0;
    }
    if (got == 0) {
      if (content) report("it is too short");
      std::memset(into.data(), 0, want);
      got = want;
    }
    hash.update(into.first(got));
    done += got;
    return got;
  }

  void end_content() {
    in_content = false;
    content.reset();
    const std::string recorded = text_of(checksum_size);
    std::byte digest[Xxh3::digest_size];
    hash.finish(digest);
    if (std::memcmp(digest, recorded.data(), checksum_size) != 0 && !reported) report("its content has changed");
  }

  int tree;
  FileDescriptor fs;
  FileSource file;
  std::unique_ptr<DecodingSource> decoded;
  Damaged damaged;
  Contents contents = Contents::files;
  std::map<std::uint32_t, std::string> moved;
  std::set<std::string> kept;
  std::vector<char> buffer;
  std::size_t at = 0;
  std::size_t filled = 0;
  bool ended = false;
  std::uint64_t literal = 0;
  bool in_content = false;
  std::string path;
  FileDescriptor content;
  std::vector<SparseExtent> extents;
  std::size_t extent = 0;
  std::uint64_t done = 0;
  bool reported = false;
  Xxh3 hash;
};

RecipeSource::RecipeSource(int tree, Damaged damaged) : impl_(std::make_unique<Impl>(tree, std::move(damaged))) {}
RecipeSource::RecipeSource(int tree, Contents contents) : RecipeSource(tree) { impl_->contents = contents; }
RecipeSource::~RecipeSource() = default;

std::size_t RecipeSource::read(std::span<std::byte> into) {
  Impl& r = *impl_;
  std::size_t filled = 0;
  while (filled < into.size()) {
    const auto rest = into.subspan(filled);
    if (r.literal != 0) {
      r.fill();
      const std::size_t n = static_cast<std::size_t>(
          std::min<std::uint64_t>(std::min<std::uint64_t>(rest.size(), r.literal), r.filled - r.at));
      std::memcpy(rest.data(), r.buffer.data() + r.at, n);
      r.at += n;
      r.literal -= n;
      filled += n;
    } else if (r.in_content) {
      if (r.extent == r.extents.size()) {
        r.end_content();
      } else if (r.done == r.extents[r.extent].size) {
        ++r.extent;
        r.done = 0;
      } else {
        filled += r.read_content(rest);
      }
    } else if (r.ended) {
      break;
    } else {
      r.next_record();
    }
  }
  return filled;
}

}  // namespace strata::detail
