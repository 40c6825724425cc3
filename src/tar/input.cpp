#include "tar/input.hpp"

#include <algorithm>
#include <cstring>

namespace strata::detail {

namespace {
// Two reads of a pipe; larger gains nothing, since content is handed on as it comes.
constexpr std::size_t capacity = 128U << 10;
}  // namespace

ArchiveInput::ArchiveInput(ByteSource& source) : source_(source), blocks_(dynamic_cast<BlockSource*>(&source)) {}

/// Adds to what is left in view at least one byte, or finds that the source has ended.
void ArchiveInput::next() {
  if (blocks_ == nullptr) return read_more();
  if (!view_.empty()) return join_next();
  Block block = blocks_->next_block();
  view_ = block.bytes;
  owner_ = std::move(block.owner);
  ended_ = view_.empty();
}

/// Rare, since blocks have whole blocks of the tar in them.
void ArchiveInput::join_next() {
  const Block block = blocks_->next_block();
  ended_ = block.bytes.empty();
  if (ended_) return;
  const auto joined = std::make_shared_for_overwrite<std::byte[]>(view_.size() + block.bytes.size());
  std::memcpy(joined.get(), view_.data(), view_.size());
  std::memcpy(joined.get() + view_.size(), block.bytes.data(), block.bytes.size());
  view_ = {joined.get(), view_.size() + block.bytes.size()};
  owner_ = joined;
}

void ArchiveInput::read_more() {
  if (buffer_ == nullptr || filled_ == capacity || (view_.empty() && filled_ != 0)) {
    const std::shared_ptr<std::byte[]> old = buffer_;
    if (buffer_ == nullptr || lent_) buffer_ = std::make_shared_for_overwrite<std::byte[]>(capacity);
    lent_ = false;
    if (!view_.empty()) std::memmove(buffer_.get(), view_.data(), view_.size());
    filled_ = view_.size();
  }
  const std::size_t got = source_.read({buffer_.get() + filled_, capacity - filled_});
  view_ = {buffer_.get() + filled_ - view_.size(), view_.size() + got};
  filled_ += got;
  owner_ = buffer_;
  ended_ = got == 0;
}

std::span<const std::byte> ArchiveInput::peek() {
  if (view_.empty() && !ended_) next();
  return view_;
}

std::span<const std::byte> ArchiveInput::peek_block() {
  while (view_.size() < tar_block && !ended_) next();
  return view_.first(std::min(tar_block, view_.size()));
}

const std::shared_ptr<const void>& ArchiveInput::owner() {
  lent_ = true;
  return owner_;
}

void ArchiveInput::take_content(std::size_t size) noexcept {
  view_ = view_.subspan(size);
  offset_ += size;
}

void ArchiveInput::take_structure(std::size_t size) {
  const auto bytes = view_.first(size);
  take_content(size);
  if (observer_ != nullptr && size != 0) observer_->structure(bytes);
}

void ArchiveInput::take_skipped(std::size_t size) {
  const auto bytes = view_.first(size);
  take_content(size);
  if (observer_ != nullptr && size != 0) observer_->skipped(bytes);
}

std::uint64_t ArchiveInput::pass_structure(std::uint64_t size) {
  std::uint64_t passed = 0;
  while (passed < size) {
    const auto bytes = peek();
    if (bytes.empty()) break;
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), size - passed));
    take_structure(part);
    passed += part;
  }
  return passed;
}

}  // namespace strata::detail
