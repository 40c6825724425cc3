// The archive as a stream: views into the blocks that the source gives, and the observer who sees what is structure.
#pragma once

#include <strata/tar.hpp>

#include "base/block.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace strata::detail {

class ArchiveInput {
 public:
  explicit ArchiveInput(ByteSource& source);

  void set_observer(TarReader::RawObserver* observer) noexcept { observer_ = observer; }
  const ByteSource& source() const noexcept { return source_; }
  /// Bytes consumed so far.
  std::uint64_t offset() const noexcept { return offset_; }

  /// Bytes that come next, at least one unless the source has ended. Consumes nothing; valid until the next call, or
  /// as long as owner() of now is held.
  std::span<const std::byte> peek();
  /// The same, but a whole block of the tar; shorter only at the end of the source.
  std::span<const std::byte> peek_block();
  const std::shared_ptr<const void>& owner();

  /// Consumes bytes that the last peek showed, as …
  void take_content(std::size_t size) noexcept;
  void take_structure(std::size_t size);
  void take_skipped(std::size_t size);

  /// Consumes up to `size` bytes as structure; returns how many the source still had.
  std::uint64_t pass_structure(std::uint64_t size);

 private:
  void next();
  void read_more();
  void join_next();

  ByteSource& source_;
  BlockSource* blocks_;  // the same, where it gives whole blocks
  TarReader::RawObserver* observer_ = nullptr;
  std::span<const std::byte> view_;
  std::shared_ptr<const void> owner_;
  // Of a source that doesn't: where its bytes are read to.
  std::shared_ptr<std::byte[]> buffer_;
  std::size_t filled_ = 0;
  bool lent_ = false;  // someone may hold the buffer
  std::uint64_t offset_ = 0;
  bool ended_ = false;
};

}  // namespace strata::detail
