// Raw deflate (RFC 1951) and its CRC-32, by zlib. inflate_isal.hpp has the same interface.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

namespace strata::detail {

class ZlibInflate {
 public:
  struct Step {
    std::size_t consumed = 0;
    std::size_t produced = 0;
    bool ended = false;    ///< the final block is complete
    bool damaged = false;  ///< this is not deflate
  };

  ZlibInflate() {
    if (inflateInit2(&stream_, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ZlibInflate(const ZlibInflate&) = delete;  // zlib's state points back to its stream
  ~ZlibInflate() { inflateEnd(&stream_); }

  void reset() { inflateReset(&stream_); }

  /// As Transformer::step.
  Step step(std::span<const std::byte> input, std::span<std::byte> output) {
    const std::size_t in = std::min<std::size_t>(input.size(), largest),
                      out = std::min<std::size_t>(output.size(), largest);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data()));
    stream_.avail_in = static_cast<uInt>(in);
    stream_.next_out = reinterpret_cast<Bytef*>(output.data());
    stream_.avail_out = static_cast<uInt>(out);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    return {in - stream_.avail_in, out - stream_.avail_out, result == Z_STREAM_END,
            result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR};
  }

  /// Bytes that step() consumed although they lie behind the end of the deflate data.
  std::span<const std::byte> taken_too_many() { return {}; }

  static std::uint32_t crc32(std::uint32_t crc, std::span<const std::byte> bytes) {
    return static_cast<std::uint32_t>(crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  }

 private:
  static constexpr uInt largest = 1u << 30;
  z_stream stream_{};
};

}  // namespace strata::detail
