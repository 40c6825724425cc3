// Bytes that several stages and threads look at where they are, each for as long as it needs them.
#pragma once

#include <strata/byte_stream.hpp>

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace strata::detail {

/// Some bytes of a stream, which stay as they are while anyone has `owner`.
struct Block {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

/// A source whose bytes can be had without a copy.
class BlockSource : public ByteSource {
 public:
  /// The next bytes, at least one unless the source has ended. Not to be mixed with read().
  virtual Block next_block() = 0;
  std::size_t read(std::span<std::byte> into) final;

 private:
  Block rest_;  // of a block that read() has given in part
};

/// A bounded number of buffers of one size, made when they are needed first. Thread safe; a buffer may outlive the
/// pool.
class BlockPool {
 public:
  BlockPool(std::size_t block_size, std::size_t blocks);
  /// Buffers that are out stay valid; whoever waits in take() gets none.
  ~BlockPool() { close(); }
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  std::size_t block_size() const;
  /// A buffer that nobody has, waited for where all are out. None once the pool is closed.
  std::shared_ptr<std::byte[]> take();
  void close();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace strata::detail
