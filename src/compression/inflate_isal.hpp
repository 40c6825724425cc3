// Raw deflate (RFC 1951) and its CRC-32, by ISA-L: two to three times as fast as zlib. It takes Huffman codes that are
// incomplete, which zlib refuses, as long as nothing uses what they lack (ISA-L 2.30).
#pragma once

#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace strata::detail {

class IsalInflate {
 public:
  struct Step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    bool ended = false;
    bool damaged = false;
  };

  IsalInflate() { isal_inflate_init(state_.get()); }

  void reset() { isal_inflate_reset(state_.get()); }

  Step step(std::span<const std::byte> input, std::span<std::byte> output) {
    const std::size_t in = std::min<std::size_t>(input.size(), largest),
                      out = std::min<std::size_t>(output.size(), largest);
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(input.data()));
    state_->avail_in = static_cast<std::uint32_t>(in);
    state_->next_out = reinterpret_cast<std::uint8_t*>(output.data());
    state_->avail_out = static_cast<std::uint32_t>(out);
    const int result = isal_inflate(state_.get());
    // After an error its counts mean nothing: avail_in can be more than was given (ISA-L 2.30).
    if (result < 0) return {.damaged = true};
    return {in - state_->avail_in, out - state_->avail_out, state_->block_state == ISAL_BLOCK_FINISH, false};
  }

  /// ISA-L reads up to eight bytes ahead into a register. What is left there at the end may have come with an earlier
  /// step, so that it can't be handed back as not consumed.
  std::span<const std::byte> taken_too_many() {
    const auto bits = static_cast<unsigned>(std::max<std::int32_t>(state_->read_in_length, 0));
    std::uint64_t rest = state_->read_in >> (bits % 8);
    for (std::size_t i = 0; i < bits / 8; ++i, rest >>= 8) ahead_[i] = static_cast<std::byte>(rest & 0xff);
    return std::span(ahead_).first(bits / 8);
  }

  static std::uint32_t crc32(std::uint32_t crc, std::span<const std::byte> bytes) {
    return crc32_gzip_refl(crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  }

 private:
  static constexpr std::uint32_t largest = 1u << 30;
  // 80 KiB, of which init writes little: not zeroed.
  std::unique_ptr<inflate_state> state_ = std::make_unique_for_overwrite<inflate_state>();
  std::array<std::byte, 8> ahead_;
};

}  // namespace strata::detail
