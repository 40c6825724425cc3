#include "base/block.hpp"

#include "support/catch.hpp"

#include <cstring>
#include <deque>
#include <string>
#include <thread>

using namespace strata;
using namespace strata::detail;

namespace {

/// Gives the pieces of a text, each as a block of its own.
class Pieces final : public BlockSource {
 public:
  explicit Pieces(std::deque<std::string> pieces) : pieces_(std::move(pieces)) {}
  Block next_block() override {
    if (pieces_.empty()) return {};
    const auto text = std::make_shared<const std::string>(std::move(pieces_.front()));
    pieces_.pop_front();
    return {std::as_bytes(std::span(*text)), text};
  }

 private:
  std::deque<std::string> pieces_;
};

}  // namespace

TEST_CASE("blocks can be read as a stream") {
  Pieces pieces({"ab", "cdefg", "h"});
  std::string all;
  std::byte two[2];
  while (const std::size_t n = pieces.read(two)) all.append(reinterpret_cast<const char*>(two), n);
  CHECK(all == "abcdefgh");
  CHECK(pieces.read(two) == 0);
}

TEST_CASE("a pool has so many buffers and no more, and outlives neither of them") {
  std::shared_ptr<std::byte[]> kept;
  {
    BlockPool pool(64, 2);
    kept = pool.take();
    std::memset(kept.get(), 7, 64);
    std::shared_ptr<std::byte[]> other = pool.take();
    std::byte* const place = other.get();
    std::thread giver([&] { other.reset(); });
    const auto again = pool.take();  // waits for it
    giver.join();
    CHECK(again.get() == place);
  }
  CHECK(kept[63] == std::byte{7});
}

TEST_CASE("who waits for a buffer gets none once the pool is closed") {
  BlockPool pool(64, 1);
  const auto only = pool.take();
  std::thread closer([&] { pool.close(); });
  CHECK(pool.take() == nullptr);
  closer.join();
}
