// What each format looks like from its first bytes, and the policies by name.
#include <strata/compression.hpp>
#include <strata/error.hpp>

#include "compression/gzip_header.hpp"
#include "compression/zstd_magic.hpp"

#include <algorithm>
#include <optional>

namespace strata {
namespace {

constexpr std::size_t checksum_at = 148, checksum_size = 8;

/// The checksum that a tar header states: octal digits, between spaces and NULs (POSIX.1-1988, ustar).
std::optional<std::uint32_t> stated_checksum(std::span<const std::byte, recognition_size> header) {
  std::uint32_t value = 0;
  bool digits = false, ended = false;
  for (const std::byte byte : header.subspan(checksum_at, checksum_size)) {
    const char c = static_cast<char>(byte);
    if (c >= '0' && c <= '7' && !ended) {
      value = value * 8 + static_cast<std::uint32_t>(c - '0');
      digits = true;
    } else if (c == ' ' || c == '\0') {
      ended = digits;
    } else {
      return std::nullopt;
    }
  }
  return digits ? std::optional(value) : std::nullopt;
}

bool is_tar_header(std::span<const std::byte, recognition_size> header) {
  const auto stated = stated_checksum(header);
  if (!stated) return false;
  // Over all bytes, with spaces for the checksum itself. Some old tars summed signed chars.
  std::int32_t as_unsigned = 0, as_signed = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const bool own = i >= checksum_at && i < checksum_at + checksum_size;
    const std::byte byte = own ? std::byte{' '} : header[i];
    as_unsigned += std::to_integer<std::uint8_t>(byte);
    as_signed += std::to_integer<std::int8_t>(byte);
  }
  return *stated == static_cast<std::uint32_t>(as_unsigned) || *stated == static_cast<std::uint32_t>(as_signed);
}

}  // namespace

bool Gzip::recognises(std::span<const std::byte> head) {
  return head.size() >= detail::gzip_magic.size() &&
         std::ranges::equal(head.first<detail::gzip_magic.size()>(), detail::gzip_magic);
}

bool Zstd::recognises(std::span<const std::byte> head) {
  while (head.size() >= detail::zstd_magic_size) {
    const auto magic = head.first<detail::zstd_magic_size>();
    if (detail::is_zstd_frame(magic)) return true;
    if (!detail::is_skippable_frame(magic)) return false;
    // Other formats have skippable frames too: what comes after decides, where it can be seen.
    constexpr std::size_t before_content = detail::zstd_magic_size + 4;
    if (head.size() < before_content) return true;
    const std::size_t size = before_content + detail::little_endian(head.subspan<4, 4>());
    if (size >= head.size()) return true;
    head = head.subspan(size);
  }
  return false;
}

bool Uncompressed::recognises(std::span<const std::byte> head) {
  if (head.size() < recognition_size) return false;
  const auto block = head.first<recognition_size>();
  return is_tar_header(block) || std::ranges::all_of(block, [](std::byte byte) { return byte == std::byte{0}; });
}

CompressionPolicy compression_by_name(std::string_view name) {
  if (name == Gzip::name) return CompressionPolicy::of<Gzip>();
  if (name == Zstd::name) return CompressionPolicy::of<Zstd>();
  if (name == Uncompressed::name) return CompressionPolicy::of<Uncompressed>();
  throw_error(errc::bad_argument, "use the compression", quoted(name), "known are gzip, zstd and none");
}

}  // namespace strata
