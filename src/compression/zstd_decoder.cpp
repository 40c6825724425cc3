// Frames of Zstandard (RFC 8878). libzstd decodes one; here they are strung together.
#include <strata/compression.hpp>
#include <strata/error.hpp>

#include "compression/malformed.hpp"
#include "compression/zstd_magic.hpp"

#include <zstd.h>
#include <zstd_errors.h>

#include <array>
#include <new>

namespace strata::detail {
namespace {

/// `zstd --long=27`, the most that the tool decodes unasked. libzstd allocates what a frame asks for: 8 MiB from
/// `zstd -19`.
constexpr int largest_window_log = 27;

class ZstdDecoder final : public Transformer {
 public:
  ZstdDecoder() {
    if (!context_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, largest_window_log);
  }

  Step step(std::span<const std::byte> input, std::span<std::byte> output, bool last) override {
    const std::size_t input_size = input.size(), output_size = output.size();
    const auto done = [&](bool ended) { return Step{input_size - input.size(), output_size - output.size(), ended}; };
    for (;;) {
      switch (part_) {
        case Part::magic:
          if (!take_magic(input, last)) return done(last && input.empty());
          break;
        case Part::frame:
          if (!take_frame(input, output)) {
            if (last && !output.empty()) throw_malformed("zstd", "it ends in the middle of a frame", offset_);
            return done(false);
          }
          break;
        case Part::trailing:
          trailing_ += input.size();
          advance(input, input.size());
          return done(last);
      }
    }
  }

  std::uint64_t trailing_bytes() const override { return trailing_; }

 private:
  enum class Part { magic, frame, trailing };
  struct Free {
    void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
  };

  void advance(std::span<const std::byte>& input, std::size_t n) {
    offset_ += n;
    input = input.subspan(n);
  }

  /// False: it stands between two frames, and all input was taken.
  bool take_magic(std::span<const std::byte>& input, bool last) {
    while (!input.empty() && magic_size_ < zstd_magic_size) {
      magic_[magic_size_++] = input.front();
      advance(input, 1);
    }
    if (magic_size_ < zstd_magic_size && !last) return false;
    if (magic_size_ == zstd_magic_size && (is_zstd_frame(magic_) || is_skippable_frame(magic_))) {
      frame_ = offset_ - zstd_magic_size;
      any_frame_ = true;
      std::span<const std::byte> magic = magic_;
      std::span<std::byte> nowhere;
      decode(magic, nowhere);
      magic_size_ = 0;
      part_ = Part::frame;
      return true;
    }
    if (!any_frame_) {
      if (magic_size_ < zstd_magic_size) throw_malformed("zstd", "it ends before its first frame", offset_);
      throw_malformed("zstd", "it does not begin as zstd does", 0);
    }
    trailing_ = magic_size_;
    part_ = Part::trailing;
    return true;
  }

  /// True: the frame is complete, and all of it given. False: it needs input, or room.
  bool take_frame(std::span<const std::byte>& input, std::span<std::byte>& output) {
    do {
      const std::size_t before = input.size();
      const bool ended = decode(input, output);
      offset_ += before - input.size();
      if (ended) {
        part_ = Part::magic;
        return true;
      }
    } while (!input.empty() && !output.empty());
    return false;
  }

  /// One step of libzstd. True: the frame is complete, and all of it given.
  bool decode(std::span<const std::byte>& input, std::span<std::byte>& output) {
    ZSTD_inBuffer in{input.data(), input.size(), 0};
    ZSTD_outBuffer out{output.data(), output.size(), 0};
    const std::size_t result = ZSTD_decompressStream(context_.get(), &out, &in);
    input = input.subspan(in.pos);
    output = output.subspan(out.pos);
    if (!ZSTD_isError(result)) return result == 0;
    switch (ZSTD_getErrorCode(result)) {
      case ZSTD_error_memory_allocation:
        throw std::bad_alloc();
      case ZSTD_error_frameParameter_windowTooLarge:
        throw_error(errc::limit_exceeded, "decompress", "the zstd stream",
                    "the frame at offset " + std::to_string(frame_) + " needs a window of more than 128 MiB",
                    "compress it again without --long, or with --long=27");
      case ZSTD_error_dictionary_wrong:
        throw_malformed("zstd", "a frame needs a dictionary", frame_);
      case ZSTD_error_checksum_wrong:
        throw_malformed("zstd", "the checksum of a frame is wrong", frame_);
      default:
        throw_malformed("zstd", "a frame is damaged", frame_);
    }
  }

  Part part_ = Part::magic;
  std::unique_ptr<ZSTD_DCtx, Free> context_{ZSTD_createDCtx()};
  std::array<std::byte, zstd_magic_size> magic_;
  std::size_t magic_size_ = 0;
  bool any_frame_ = false;
  std::uint64_t offset_ = 0;  ///< bytes taken
  std::uint64_t frame_ = 0;   ///< offset of the current frame
  std::uint64_t trailing_ = 0;
};

}  // namespace

std::unique_ptr<Transformer> make_zstd_decoder() { return std::make_unique<ZstdDecoder>(); }

}  // namespace strata::detail
