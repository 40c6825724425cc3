// The header of a gzip member (RFC 1952, 2.3) behind its magic number, read in pieces. What it says (name, time,
// comment) is of no use here; it is only passed over, and checked.
#pragma once

#include "compression/inflate_zlib.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace strata::detail {

/// ID1, ID2 and the only method there is (deflate).
inline constexpr std::array gzip_magic{std::byte{0x1f}, std::byte{0x8b}, std::byte{8}};

class GzipHeader {
 public:
  enum class Problem { none, reserved_flags, checksum };

  /// Takes bytes up to the header's end; returns how many.
  std::size_t take(std::span<const std::byte> input) {
    std::size_t taken = 0;
    while (taken < input.size() && part_ != Part::done && problem_ == Problem::none) take(input[taken++]);
    return taken;
  }
  bool complete() const { return part_ == Part::done; }
  Problem problem() const { return problem_; }

 private:
  enum class Part { fixed, extra_size, extra, name, comment, checksum, done };
  static constexpr unsigned has_checksum = 2, has_extra = 4, has_name = 8, has_comment = 16, reserved = 0xe0;

  void take(std::byte byte) {
    const auto value = std::to_integer<unsigned>(byte);
    if (part_ != Part::checksum) crc_ = ZlibInflate::crc32(crc_, std::span(&byte, 1));
    ++count_;
    switch (part_) {
      case Part::fixed:  // flags, four bytes of time, extra flags, system
        if (count_ == 1) flags_ = value;
        if ((flags_ & reserved) != 0) problem_ = Problem::reserved_flags;
        if (count_ == 7) enter(Part::extra_size);
        break;
      case Part::extra_size:
        number_ |= value << (8 * (count_ - 1));
        if (count_ == 2) {
          extra_left_ = number_;
          enter(Part::extra);
        }
        break;
      case Part::extra:
        if (--extra_left_ == 0) enter(Part::name);
        break;
      case Part::name:
        if (value == 0) enter(Part::comment);
        break;
      case Part::comment:
        if (value == 0) enter(Part::checksum);
        break;
      case Part::checksum:
        number_ |= value << (8 * (count_ - 1));
        if (count_ < 2) break;
        if (number_ != (crc_ & 0xffff)) problem_ = Problem::checksum;
        enter(Part::done);
        break;
      case Part::done:
        break;
    }
  }

  /// Goes to that part, or the next one that there is.
  void enter(Part part) {
    if (part == Part::extra_size && (flags_ & has_extra) == 0) part = Part::name;
    if (part == Part::extra && extra_left_ == 0) part = Part::name;
    if (part == Part::name && (flags_ & has_name) == 0) part = Part::comment;
    if (part == Part::comment && (flags_ & has_comment) == 0) part = Part::checksum;
    if (part == Part::checksum && (flags_ & has_checksum) == 0) part = Part::done;
    part_ = part;
    count_ = 0;
    number_ = 0;
  }

  Part part_ = Part::fixed;
  Problem problem_ = Problem::none;
  unsigned flags_ = 0;
  std::uint64_t count_ = 0;  ///< bytes of this part taken
  unsigned number_ = 0;      ///< of the number that this part is
  unsigned extra_left_ = 0;
  std::uint32_t crc_ = ZlibInflate::crc32(0, gzip_magic);
};

}  // namespace strata::detail
