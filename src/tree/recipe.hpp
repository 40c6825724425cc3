// The way back from a tree to its layer tar, byte for byte: everything of the tar that isn't the content of a file in
// the tree, and for each content where it is and its checksum. docs/format.md has the grammar.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/compression.hpp>
#include <strata/hash.hpp>
#include <strata/tar.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace strata::detail {

/// Writes a recipe, compressed, as the tar goes by. Not thread safe.
class RecipeWriter {
 public:
  explicit RecipeWriter(ByteSink& file);
  ~RecipeWriter();

  /// Bytes of the tar that have no place in the tree.
  void literal(std::span<const std::byte> bytes);
  /// A content begins: number `ordinal`, at `path` in the tree, `extents` of that file in order (none: all of it,
  /// `size` bytes).
  void begin_content(std::uint32_t ordinal, const std::string& path, std::uint64_t size,
                     const std::vector<SparseExtent>& extents);
  void content(std::span<const std::byte> bytes);
  void end_content();
  void finish();

 private:
  void flush_literal();
  void number(std::uint64_t value);
  void put(std::span<const std::byte> bytes);
  void flush();

  ByteSink& file_;
  std::unique_ptr<ByteSink> compressed_;  ///< once there is more than a little
  std::string buffer_;
  std::string literal_;
  Xxh3 hash_;
};

/// Contents that moved after the recipe named them: ordinal to path.
using Moved = std::vector<std::pair<std::uint32_t, std::string>>;
std::string encode_moved(const Moved& moved);
std::map<std::uint32_t, std::string> decode_moved(std::string_view text);

/// Gives the layer tar again, from a recipe and the tree that it belongs to. Reads each file once, front to back. Not
/// thread safe.
class RecipeSource final : public ByteSource {
 public:
  /// What to do where a file isn't what the recipe says: default is to throw errc::damaged. A handler that returns
  /// makes the source go on, with zeros for what is missing.
  using Damaged = std::function<void(const std::string& path, const std::string& what)>;

  /// `tree`: descriptor of trees/KEY (recipe, fs/, kept/, moved). `replacements`: descriptor of a directory whose
  /// files, named by ordinals, stand for the tree's own; -1: there is none. Both outlive the source.
  explicit RecipeSource(int tree, Damaged damaged = {}, int replacements = -1);
  ~RecipeSource() override;

  std::size_t read(std::span<std::byte> into) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata::detail
