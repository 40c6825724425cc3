#include "base/block.hpp"

#include <algorithm>
#include <cstring>

namespace strata::detail {

std::size_t BlockSource::read(std::span<std::byte> into) {
  if (rest_.bytes.empty()) rest_ = next_block();
  const std::size_t n = std::min(into.size(), rest_.bytes.size());
  if (n != 0) std::memcpy(into.data(), rest_.bytes.data(), n);
  rest_.bytes = rest_.bytes.subspan(n);
  if (rest_.bytes.empty()) rest_ = {};
  return n;
}

struct BlockPool::State {
  State(std::size_t size, std::size_t blocks) : block_size(size), unmade(blocks) {
    free.reserve(blocks);  // so that giving one back can't fail
  }
  std::size_t block_size;
  std::size_t unmade;
  std::mutex mutex;
  std::condition_variable returned;
  std::vector<std::unique_ptr<std::byte[]>> free;
  bool closed = false;
};

BlockPool::BlockPool(std::size_t block_size, std::size_t blocks)
    : state_(std::make_shared<State>(block_size, blocks)) {}

std::size_t BlockPool::block_size() const { return state_->block_size; }

std::shared_ptr<std::byte[]> BlockPool::take() {
  std::unique_ptr<std::byte[]> bytes;
  {
    std::unique_lock hold(state_->mutex);
    state_->returned.wait(hold, [this] { return state_->closed || !state_->free.empty() || state_->unmade != 0; });
    if (state_->closed) return nullptr;
    if (!state_->free.empty()) {
      bytes = std::move(state_->free.back());
      state_->free.pop_back();
    } else {
      bytes = std::make_unique_for_overwrite<std::byte[]>(state_->block_size);
      --state_->unmade;
    }
  }
  return {bytes.release(), [state = state_](std::byte* back) {
            {
              const std::lock_guard hold(state->mutex);
              state->free.emplace_back(back);
            }
            state->returned.notify_one();
          }};
}

void BlockPool::close() {
  {
    const std::lock_guard hold(state_->mutex);
    state_->closed = true;
  }
  state_->returned.notify_all();
}

}  // namespace strata::detail
