// How frames of Zstandard begin (RFC 8878, 3.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace strata::detail {

inline constexpr std::size_t zstd_magic_size = 4;

inline std::uint32_t little_endian(std::span<const std::byte, 4> bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | std::to_integer<std::uint32_t>(bytes[i]);
  return value;
}
inline bool is_zstd_frame(std::span<const std::byte, 4> magic) { return little_endian(magic) == 0xfd2fb528; }
/// Holds anything; a decoder passes over it. zstd:chunked and pzstd write them.
inline bool is_skippable_frame(std::span<const std::byte, 4> magic) {
  return (little_endian(magic) & 0xfffffff0) == 0x184d2a50;
}

}  // namespace strata::detail
