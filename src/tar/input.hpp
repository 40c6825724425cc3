// The archive as a stream: a buffer that the source fills, views into it, and the observer who sees what is structure.
#pragma once

#include <strata/tar.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace strata::detail {

class ArchiveInput {
 public:
  explicit ArchiveInput(ByteSource& source);

  void set_observer(TarReader::RawObserver* observer) noexcept { observer_ = observer; }
  const ByteSource& source() const noexcept { return source_; }
  /// Bytes consumed so far.
  std::uint64_t offset() const noexcept { return offset_; }

  /// What is in the buffer, at least one byte unless the source has ended. Consumes nothing; valid until the next call.
  std::span<const std::byte> peek();
  /// The same, but a whole block; shorter only at the end of the source.
  std::span<const std::byte> peek_block();

  /// Consumes bytes that the last peek showed, as …
  void take_content(std::size_t size) noexcept;
  void take_structure(std::size_t size);
  void take_skipped(std::size_t size);

  /// Consumes up to `size` bytes as structure; returns how many the source still had.
  std::uint64_t pass_structure(std::uint64_t size);

 private:
  void fill();
  std::span<const std::byte> buffered() const noexcept { return {buffer_.get() + begin_, end_ - begin_}; }

  // Two reads of a pipe; larger gains nothing, since content is handed on as it comes.
  static constexpr std::size_t capacity = 128 * 1024;

  ByteSource& source_;
  TarReader::RawObserver* observer_ = nullptr;
  std::unique_ptr<std::byte[]> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t offset_ = 0;
  bool ended_ = false;
};

}  // namespace strata::detail
