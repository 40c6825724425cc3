#include <strata/compression.hpp>
#include <strata/error.hpp>

#include <zlib.h>

#include <algorithm>
#include <new>

namespace strata::detail {
namespace {

/// One member, which zlib begins with no name, no time and "Unix" as the system.
class GzipEncoder final : public Transformer {
 public:
  explicit GzipEncoder(int level) {
    constexpr int gzip_header = 16, default_memory = 8;
    if (deflateInit2(&stream_, level, Z_DEFLATED, MAX_WBITS + gzip_header, default_memory, Z_DEFAULT_STRATEGY) != Z_OK)
      throw std::bad_alloc();
  }
  ~GzipEncoder() override { deflateEnd(&stream_); }

  Step step(std::span<const std::byte> input, std::span<std::byte> output, bool last) override {
    Step done;
    int result = Z_OK;
    // The end is told only behind all input, so that every division of it makes the same calls of consequence.
    while (done.produced < output.size() && result != Z_STREAM_END) {
      const std::size_t in = std::min(input.size() - done.consumed, largest);
      const std::size_t out = std::min(output.size() - done.produced, largest);
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(input.data() + done.consumed));
      stream_.avail_in = static_cast<uInt>(in);
      stream_.next_out = reinterpret_cast<Bytef*>(output.data() + done.produced);
      stream_.avail_out = static_cast<uInt>(out);
      result = deflate(&stream_, last && in == 0 ? Z_FINISH : Z_NO_FLUSH);
      done.consumed += in - stream_.avail_in;
      done.produced += out - stream_.avail_out;
      if (result == Z_BUF_ERROR || (in == 0 && !last)) break;
    }
    done.ended = result == Z_STREAM_END;
    return done;
  }

 private:
  static constexpr std::size_t largest = std::size_t{1} << 30;
  z_stream stream_{};
};

}  // namespace

std::unique_ptr<Transformer> make_gzip_encoder(int level) {
  if (level < 1 || level > 9)
    throw_error(errc::bad_argument, "compress with", "gzip level " + std::to_string(level), "levels are 1 to 9");
  return std::make_unique<GzipEncoder>(level);
}

}  // namespace strata::detail
