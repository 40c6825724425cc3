// Reading in a thread of its own: what makes the stages of an import run beside each other.
#pragma once

#include <strata/byte_stream.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace strata::detail {

/// Runs `from` some blocks ahead of its reader. Each block is also shown to `tap`, in the thread. An exception of the
/// source or the tap comes out of read(). Destroying it early stops the thread once the source's current read()
/// returns.
class ReadAhead final : public ByteSource {
 public:
  static constexpr std::size_t block_size = 256U << 10;
  static constexpr std::size_t blocks = 6;

  explicit ReadAhead(ByteSource& from, std::function<void(std::span<const std::byte>)> tap = {});
  ~ReadAhead() override;
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  std::size_t read(std::span<std::byte> into) override;
  std::optional<std::uint64_t> size() const override { return from_.size(); }
  std::string name() const override { return from_.name(); }

 private:
  struct Block {
    std::vector<std::byte> bytes;
    std::size_t size = 0;
  };
  void run();

  ByteSource& from_;
  std::function<void(std::span<const std::byte>)> tap_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Block> ready_;
  std::vector<Block> free_;
  bool ended_ = false;
  bool abandoned_ = false;
  std::exception_ptr failure_;
  Block current_;
  std::size_t taken_ = 0;
  std::thread thread_;
};

}  // namespace strata::detail
