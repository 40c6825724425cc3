#include "stream/read_ahead.hpp"

#include <algorithm>
#include <cstring>

namespace strata::detail {

ReadAhead::ReadAhead(ByteSource& from, std::function<void(std::span<const std::byte>)> tap)
    : from_(from), tap_(std::move(tap)), free_(blocks), thread_([this] { run(); }) {}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard hold(mutex_);
    abandoned_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ReadAhead::run() {
  try {
    for (;;) {
      Block block;
      {
        std::unique_lock hold(mutex_);
        changed_.wait(hold, [this] { return abandoned_ || !free_.empty(); });
        if (abandoned_) return;
        block = std::move(free_.back());
        free_.pop_back();
      }
      block.bytes.resize(block_size);
      block.size = 0;
      // Whole blocks, so that small reads of the source (a pipe's) don't cost a switch of threads each.
      bool ended = false;
      while (block.size < block_size && !ended) {
        const std::size_t n = from_.read(std::span(block.bytes).subspan(block.size));
        ended = n == 0;
        block.size += n;
      }
      if (block.size != 0 && tap_) tap_(std::span(block.bytes).first(block.size));
      const std::lock_guard hold(mutex_);
      if (block.size != 0) ready_.push_back(std::move(block));
      ended_ = ended;
      changed_.notify_all();
      if (ended) return;
    }
  } catch (...) {
    const std::lock_guard hold(mutex_);
    failure_ = std::current_exception();
    changed_.notify_all();
  }
}

std::size_t ReadAhead::read(std::span<std::byte> into) {
  if (taken_ == current_.size) {
    std::unique_lock hold(mutex_);
    if (current_.bytes.size() != 0) free_.push_back(std::move(current_));
    current_ = {};
    taken_ = 0;
    changed_.notify_all();
    changed_.wait(hold, [this] { return !ready_.empty() || ended_ || failure_; });
    if (ready_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      return 0;
    }
    current_ = std::move(ready_.front());
    ready_.pop_front();
  }
  const std::size_t n = std::min(into.size(), current_.size - taken_);
  std::memcpy(into.data(), current_.bytes.data() + taken_, n);
  taken_ += n;
  return n;
}

}  // namespace strata::detail
