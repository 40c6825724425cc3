// A recipe, record by record, without a look at the tree's files: what an export, a verification and a repair have in
// common.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/compression.hpp>
#include <strata/tar.hpp>

#include "base/block.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace strata::detail {

/// The first bytes of the XXH3-128 of a content.
using ContentChecksum = std::array<std::byte, 8>;

/// What a recipe says of the content of one file.
struct RecipeContent {
  std::uint32_t ordinal = 0;
  std::string path;     ///< in fs/; where it moved, there
  bool kept = false;    ///< it is in kept/ORDINAL instead
  bool sparse = false;  ///< stored in parts; else the one extent is all of the file
  std::vector<SparseExtent> extents;
  ContentChecksum checksum{};

  std::string kept_path() const { return "kept/" + std::to_string(ordinal); }
  /// Bytes that the tar has of it.
  std::uint64_t stored_size() const;
};

/// Reads the recipe of a tree, front to back. Throws errc::damaged where it breaks its grammar, and errc::bad_archive
/// where it can't be decompressed. Not thread safe.
class RecipeReader {
 public:
  enum class Record { literal, content, end };

  /// `tree`: descriptor of trees/KEY.
  explicit RecipeReader(int tree);

  /// Moves to the next record; what literal() has not given yet is passed over.
  Record next();
  /// The next piece of a literal, empty at its end. The bytes stay while the owner is held.
  Block literal();
  /// Of a content; valid until the next call of next().
  const RecipeContent& content() const { return content_; }

 private:
  void fill();
  unsigned char byte();
  std::uint64_t number();
  void take(std::span<std::byte> into);
  std::string text(std::size_t size);
  void read_content(bool sparse);

  FileSource file_;
  std::unique_ptr<DecodingSource> decoded_;
  std::map<std::uint32_t, std::string> moved_;
  std::set<std::string> kept_;
  std::shared_ptr<std::byte[]> buffer_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t literal_left_ = 0;
  RecipeContent content_;
};

/// The layer tar as far as its headers go: zeros stand for the contents of files, and no file is read.
class RecipeHeaders final : public BlockSource {
 public:
  using Visit = std::function<void(const RecipeContent&)>;
  /// `size`: bytes of the layer tar; a recipe that gives more throws errc::damaged. `visit` is told of each content
  /// before its zeros come.
  RecipeHeaders(int tree, std::uint64_t size, Visit visit = {});

  Block next_block() override;

 private:
  void count(std::uint64_t bytes);

  RecipeReader recipe_;
  std::uint64_t left_;
  Visit visit_;
  RecipeReader::Record record_ = RecipeReader::Record::literal;
  std::uint64_t zeros_left_ = 0;
};

}  // namespace strata::detail
