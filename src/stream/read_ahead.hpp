// Reading in a thread of its own: what makes the stages of an import run beside each other.
#pragma once

#include "base/block.hpp"

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace strata::detail {

/// Runs `from` some blocks ahead of its reader. `watch` is shown each block too, in order, in a thread of its own: it
/// may be behind the reader, and has seen all once the reader has met the end. An exception of the source comes out of
/// next_block(). Destroying it early stops the threads once the source's current read() returns. Blocks outlive it.
class ReadAhead final : public BlockSource {
 public:
  /// Whole blocks of a tar never part one of its own blocks of 512 bytes.
  static constexpr std::size_t block_size = 256U << 10;
  static constexpr std::size_t blocks = 12;

  explicit ReadAhead(ByteSource& from, std::function<void(std::span<const std::byte>)> watch = {});
  ~ReadAhead() override;
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  Block next_block() override;
  std::optional<std::uint64_t> size() const override { return from_.size(); }
  std::string name() const override { return from_.name(); }

 private:
  /// Blocks on their way to one who takes them.
  class Queue {
   public:
    void put(Block block);
    /// Nothing more comes; with a failure, it is thrown where the next block would have been.
    void end(std::exception_ptr failure = {});
    Block take();  ///< an empty one at the end

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Block> blocks_;
    bool ended_ = false;
    std::exception_ptr failure_;
  };

  void run();
  void run_watch();

  ByteSource& from_;
  std::function<void(std::span<const std::byte>)> watch_;
  BlockPool pool_{block_size, blocks};
  Queue ready_, to_watch_;
  std::thread thread_, watch_thread_;
};

}  // namespace strata::detail
