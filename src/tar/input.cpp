#include "tar/input.hpp"

#include <algorithm>
#include <cstring>

namespace strata::detail {

ArchiveInput::ArchiveInput(ByteSource& source)
    : source_(source), buffer_(std::make_unique_for_overwrite<std::byte[]>(capacity)) {}

void ArchiveInput::fill() {
  const std::size_t got = source_.read({buffer_.get() + end_, capacity - end_});
  end_ += got;
  ended_ = got == 0;
}

std::span<const std::byte> ArchiveInput::peek() {
  if (begin_ == end_ && !ended_) {
    begin_ = end_ = 0;
    fill();
  }
  return buffered();
}

std::span<const std::byte> ArchiveInput::peek_block() {
  if (end_ - begin_ < tar_block && !ended_) {
    if (capacity - begin_ < tar_block || begin_ == end_) {
      std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    while (end_ - begin_ < tar_block && !ended_) fill();
  }
  return buffered().first(std::min(tar_block, end_ - begin_));
}

void ArchiveInput::take_content(std::size_t size) noexcept {
  begin_ += size;
  offset_ += size;
}

void ArchiveInput::take_structure(std::size_t size) {
  const auto bytes = buffered().first(size);
  take_content(size);
  if (observer_ != nullptr && size != 0) observer_->structure(bytes);
}

void ArchiveInput::take_skipped(std::size_t size) {
  const auto bytes = buffered().first(size);
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
