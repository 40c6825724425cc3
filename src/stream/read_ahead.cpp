#include "stream/read_ahead.hpp"

namespace strata::detail {

void ReadAhead::Queue::put(Block block) {
  {
    const std::lock_guard hold(mutex_);
    blocks_.push_back(std::move(block));
  }
  changed_.notify_one();
}

void ReadAhead::Queue::end(std::exception_ptr failure) {
  {
    const std::lock_guard hold(mutex_);
    ended_ = true;
    failure_ = std::move(failure);
  }
  changed_.notify_one();
}

Block ReadAhead::Queue::take() {
  std::unique_lock hold(mutex_);
  changed_.wait(hold, [this] { return !blocks_.empty() || ended_; });
  if (blocks_.empty()) {
    if (failure_) std::rethrow_exception(failure_);
    return {};
  }
  Block block = std::move(blocks_.front());
  blocks_.pop_front();
  return block;
}

ReadAhead::ReadAhead(ByteSource& from, std::function<void(std::span<const std::byte>)> watch)
    : from_(from), watch_(std::move(watch)), thread_([this] { run(); }) {
  if (!watch_) return;
  try {
    watch_thread_ = std::thread([this] { run_watch(); });
  } catch (...) {
    pool_.close();
    thread_.join();
    throw;
  }
}

ReadAhead::~ReadAhead() {
  pool_.close();
  thread_.join();
  if (watch_thread_.joinable()) watch_thread_.join();
}

void ReadAhead::run() {
  try {
    for (bool ended = false; !ended;) {
      const std::shared_ptr<std::byte[]> bytes = pool_.take();
      if (bytes == nullptr) break;
      // Whole blocks, so that small reads of the source (a pipe's) don't cost a switch of threads each.
      std::size_t size = 0;
      while (size < block_size && !ended) {
        const std::size_t n = from_.read({bytes.get() + size, block_size - size});
        ended = n == 0;
        size += n;
      }
      if (size == 0) break;
      const Block block{{bytes.get(), size}, bytes};
      if (watch_) to_watch_.put(block);
      ready_.put(block);
    }
    ready_.end();
  } catch (...) {
    ready_.end(std::current_exception());
  }
  to_watch_.end();
}

void ReadAhead::run_watch() {
  for (Block block = to_watch_.take(); !block.bytes.empty(); block = to_watch_.take()) watch_(block.bytes);
}

Block ReadAhead::next_block() {
  Block block = ready_.take();
  if (block.bytes.empty() && watch_thread_.joinable()) watch_thread_.join();
  return block;
}

}  // namespace strata::detail
