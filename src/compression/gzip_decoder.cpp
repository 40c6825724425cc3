// Members, headers and trailers of gzip (RFC 1952), over either of two libraries for what is inside.
#include <strata/compression.hpp>

#include "compression/gzip_header.hpp"
#include "compression/malformed.hpp"
#ifdef STRATA_HAVE_ISAL
#include "compression/inflate_isal.hpp"
#endif

#include <algorithm>

namespace strata::detail {
namespace {

template <class Inflate>
class GzipDecoder final : public Transformer {
 public:
  Step step(std::span<const std::byte> input, std::span<std::byte> output, bool last) override {
    const std::size_t input_size = input.size(), output_size = output.size();
    const auto done = [&](bool ended) { return Step{input_size - input.size(), output_size - output.size(), ended}; };
    for (;;) {
      switch (part_) {
        case Part::magic:
          if (!take_magic(input, last)) return done(last && input.empty());
          break;
        case Part::header:
          advance(input, header_.take(input));
          check_header();
          if (!header_.complete()) return wait(last), done(false);
          enter_data();
          break;
        case Part::data:
          if (!take_data(input, output)) {
            if (!output.empty()) wait(last);
            return done(false);
          }
          break;
        case Part::trailer:
          if (!take_trailer(input)) return wait(last), done(false);
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
  enum class Part { magic, header, data, trailer, trailing };

  void advance(std::span<const std::byte>& input, std::size_t n) {
    offset_ += n;
    input = input.subspan(n);
  }

  /// Inside a member, with all input taken.
  void wait(bool last) const {
    if (last) throw_malformed("gzip", "it ends in the middle of a member", offset_);
  }

  /// False: it stands between two members, and all input was taken.
  bool take_magic(std::span<const std::byte>& input, bool last) {
    while (!input.empty() && matched_ < gzip_magic.size() && input.front() == gzip_magic[matched_]) {
      ++matched_;
      advance(input, 1);
    }
    if (matched_ == gzip_magic.size()) {
      member_ = offset_ - matched_;
      matched_ = 0;
      header_ = {};
      part_ = Part::header;
      return true;
    }
    if (input.empty() && !last) return false;
    if (!any_member_) {
      if (input.empty()) throw_malformed("gzip", "it ends before its first member", offset_);
      throw_malformed("gzip", "it does not begin as gzip does", 0);
    }
    trailing_ = matched_;
    part_ = Part::trailing;
    return true;
  }

  void check_header() const {
    switch (header_.problem()) {
      case GzipHeader::Problem::none:
        return;
      case GzipHeader::Problem::reserved_flags:
        throw_malformed("gzip", "the header of a member has flags that do not exist", member_);
      case GzipHeader::Problem::checksum:
        throw_malformed("gzip", "the header checksum of a member is wrong", member_);
    }
  }

  void enter_data() {
    if (any_member_) inflate_.reset();
    any_member_ = true;
    crc_ = Inflate::crc32(0, {});
    size_ = 0;
    part_ = Part::data;
  }

  [[noreturn]] void throw_damaged() const {
    throw_malformed("gzip", "the compressed data of a member is damaged", member_);
  }

  /// True: the data is complete. False: it needs input, or room.
  bool take_data(std::span<const std::byte>& input, std::span<std::byte>& output) {
    while (!output.empty()) {
      const auto step = inflate_.step(input, output);
      if (step.damaged) throw_damaged();
      const auto made = output.first(step.produced);
      crc_ = Inflate::crc32(crc_, made);
      size_ += static_cast<std::uint32_t>(made.size());
      output = output.subspan(made.size());
      advance(input, step.consumed);
      const bool stuck = step.consumed == 0 && step.produced == 0;
      if (stuck && !step.ended && !input.empty()) throw_damaged();
      if (step.ended) {
        const auto ahead = inflate_.taken_too_many();  // never more than the trailer
        std::ranges::copy(ahead, trailer_.begin());
        trailer_size_ = ahead.size();
        part_ = Part::trailer;
        return true;
      }
      if (stuck) return false;
    }
    return false;
  }

  /// CRC-32 and size of the member's content, little-endian.
  bool take_trailer(std::span<const std::byte>& input) {
    const std::size_t n = std::min(trailer_.size() - trailer_size_, input.size());
    std::ranges::copy(input.first(n), trailer_.begin() + static_cast<std::ptrdiff_t>(trailer_size_));
    trailer_size_ += n;
    advance(input, n);
    if (trailer_size_ < trailer_.size()) return false;
    const auto number = [&](std::size_t at) {
      std::uint32_t value = 0;
      for (std::size_t i = 4; i-- > 0;) value = value << 8 | std::to_integer<std::uint32_t>(trailer_[at + i]);
      return value;
    };
    if (number(0) != crc_) throw_malformed("gzip", "the checksum of a member is wrong", member_);
    if (number(4) != size_) throw_malformed("gzip", "the length of a member is wrong", member_);
    part_ = Part::magic;
    return true;
  }

  Part part_ = Part::magic;
  Inflate inflate_;
  GzipHeader header_;
  std::size_t matched_ = 0;  ///< bytes of the magic number
  bool any_member_ = false;
  std::uint32_t crc_ = 0;
  std::uint32_t size_ = 0;  ///< modulo 2^32, as the trailer has it
  std::array<std::byte, 8> trailer_;
  std::size_t trailer_size_ = 0;
  std::uint64_t offset_ = 0;  ///< bytes taken
  std::uint64_t member_ = 0;  ///< offset of the current member
  std::uint64_t trailing_ = 0;
};

}  // namespace

std::unique_ptr<Transformer> make_gzip_decoder() {
#ifdef STRATA_HAVE_ISAL
  return std::make_unique<GzipDecoder<IsalInflate>>();
#else
  return make_zlib_gzip_decoder();
#endif
}

std::unique_ptr<Transformer> make_zlib_gzip_decoder() { return std::make_unique<GzipDecoder<ZlibInflate>>(); }

}  // namespace strata::detail
