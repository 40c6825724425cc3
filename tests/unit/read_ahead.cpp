#include "stream/read_ahead.hpp"

#include <strata/error.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

using namespace strata;
using namespace strata::detail;

namespace {

/// Gives `size` bytes, a few at a time, then ends or fails.
class Slowly final : public ByteSource {
 public:
  explicit Slowly(std::size_t size, bool fails = false) : left_(size), fails_(fails) {}
  std::size_t read(std::span<std::byte> into) override {
    if (left_ == 0 && fails_) throw_error(errc::damaged, "read", "the source");
    const std::size_t n = std::min({into.size(), left_, std::size_t{7001}});
    for (std::size_t i = 0; i < n; ++i) into[i] = static_cast<std::byte>(at_++ % 251);
    left_ -= n;
    return n;
  }

 private:
  std::size_t left_;
  std::size_t at_ = 0;
  bool fails_;
};

constexpr std::size_t some = 5 * ReadAhead::block_size + 123;

}  // namespace

TEST_CASE("what is read ahead comes in whole blocks, and the watcher has seen all at the end") {
  Slowly source(some);
  std::size_t watched = 0, read = 0, wrong = 0;
  ReadAhead ahead(source, [&](std::span<const std::byte> bytes) { watched += bytes.size(); });
  std::size_t blocks = 0;
  for (Block block = ahead.next_block(); !block.bytes.empty(); block = ahead.next_block()) {
    ++blocks;
    for (const std::byte byte : block.bytes) wrong += byte != static_cast<std::byte>(read++ % 251);
  }
  CHECK(blocks == 6);
  CHECK(read == some);
  CHECK(wrong == 0);
  CHECK(watched == some);
  CHECK(ahead.next_block().bytes.empty());
}

TEST_CASE("what fails fails where it would have come") {
  Slowly source(some, true);
  std::size_t watched = 0, read = 0;
  ReadAhead ahead(source, [&](std::span<const std::byte> bytes) { watched += bytes.size(); });
  try {
    for (Block block = ahead.next_block(); !block.bytes.empty(); block = ahead.next_block()) read += block.bytes.size();
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == errc::damaged);
  }
  CHECK(read == 5 * ReadAhead::block_size);  // what of a block came before the failure is lost with it
}

TEST_CASE("reading ahead can be given up, with blocks still held") {
  Slowly source(std::size_t{1} << 30);
  Block held;
  {
    ReadAhead ahead(source, [](std::span<const std::byte>) {});
    held = ahead.next_block();
  }
  CHECK(held.bytes[250] == std::byte{250});
}
