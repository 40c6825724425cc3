#include <strata/compression.hpp>
#include <strata/error.hpp>

#include "compression/zstd_frame.hpp"

#include <zstd.h>

#include <new>

namespace strata::detail {
namespace {

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
};

/// One frame, with a checksum and without a content size (which isn't known when it begins).
class ZstdEncoder final : public Transformer {
 public:
  explicit ZstdEncoder(int level) {
    if (!context_) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_contentSizeFlag, 0);
  }

  Step step(std::span<const std::byte> input, std::span<std::byte> output, bool last) override {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    // The end is told only behind all input: libzstd makes other bytes of an input that is given at once with its end.
    while (out.pos < out.size && in.pos < in.size) compress(out, in, ZSTD_e_continue);
    const bool ended = last && in.pos == in.size && out.pos < out.size && compress(out, in, ZSTD_e_end) == 0;
    return {in.pos, out.pos, ended};
  }

 private:
  std::size_t compress(ZSTD_outBuffer& out, ZSTD_inBuffer& in, ZSTD_EndDirective directive) {
    const std::size_t left = ZSTD_compressStream2(context_.get(), &out, &in, directive);
    if (ZSTD_isError(left)) throw std::bad_alloc();  // parameters are checked: nothing else can fail
    return left;
  }

  std::unique_ptr<ZSTD_CCtx, FreeContext> context_{ZSTD_createCCtx()};
};

}  // namespace

std::vector<std::byte> zstd_frame(std::span<const std::byte> bytes, int level) {
  const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  if (!context) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::vector<std::byte> frame(ZSTD_compressBound(bytes.size()));
  const std::size_t size = ZSTD_compress2(context.get(), frame.data(), frame.size(), bytes.data(), bytes.size());
  if (ZSTD_isError(size)) throw std::bad_alloc();  // there is room for the frame: nothing else can fail
  frame.resize(size);
  return frame;
}

std::unique_ptr<Transformer> make_zstd_encoder(int level) {
  if (level < 1 || level > 19)
    throw_error(errc::bad_argument, "compress with", "zstd level " + std::to_string(level), "levels are 1 to 19");
  return std::make_unique<ZstdEncoder>(level);
}

}  // namespace strata::detail
