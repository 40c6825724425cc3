// The 512-byte header block: where its fields are, its numbers, its checksum. POSIX.1 calls it ustar; v7 is what came
// before, GNU and star are cousins that use the end of the block for other things.
#pragma once

#include <strata/tar.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace strata::detail {

struct Field {
  std::size_t offset;
  std::size_t size;
};

namespace field {
inline constexpr Field name{0, 100};
inline constexpr Field mode{100, 8};
inline constexpr Field uid{108, 8};
inline constexpr Field gid{116, 8};
inline constexpr Field size{124, 12};
inline constexpr Field mtime{136, 12};
inline constexpr Field checksum{148, 8};
inline constexpr Field type{156, 1};
inline constexpr Field link{157, 100};
inline constexpr Field magic{257, 8};  // with the version
inline constexpr Field user_name{265, 32};
inline constexpr Field group_name{297, 32};
inline constexpr Field device_major{329, 8};
inline constexpr Field device_minor{337, 8};
inline constexpr Field prefix{345, 155};
inline constexpr Field gnu_atime{345, 12};
inline constexpr Field gnu_ctime{357, 12};
inline constexpr Field gnu_sparse{386, 4 * 24};
inline constexpr Field gnu_extended{482, 1};
inline constexpr Field gnu_real_size{483, 12};
inline constexpr Field star_prefix{345, 131};
inline constexpr Field star_extended{355, 1};
inline constexpr Field star_sparse{356, 4 * 24};
inline constexpr Field star_real_size{452, 12};
inline constexpr Field star_atime{476, 12};
inline constexpr Field star_ctime{488, 12};
inline constexpr Field star_trailer{508, 4};
inline constexpr Field extension_sparse{0, 21 * 24};  // GNU and star alike
inline constexpr Field extension_extended{504, 1};
}  // namespace field

enum class Dialect { v7, ustar, gnu, star };

/// A header block that stands in a buffer.
class HeaderBlock {
 public:
  explicit HeaderBlock(std::span<const std::byte, tar_block> bytes) noexcept
      : text_(reinterpret_cast<const char*>(bytes.data()), bytes.size()) {}

  std::string_view raw(Field where) const noexcept { return text_.substr(where.offset, where.size); }
  /// Up to the first NUL.
  std::string_view text(Field where) const noexcept;
  /// nullopt: no number, or beyond 63 bits.
  std::optional<std::int64_t> number(Field where) const noexcept;
  char type() const noexcept { return text_[field::type.offset]; }

  bool is_zero() const noexcept;
  enum class Checksum { wrong, right, as_signed };
  Checksum checksum() const noexcept;
  Dialect dialect() const noexcept;
  /// The name, behind its prefix where the dialect has one.
  std::string path() const;

 private:
  std::string_view text_;
};

/// Octal digits between spaces and NULs (nothing is 0; what follows a NUL is not looked at), or base 256 in two's
/// complement where the first bit is set.
std::optional<std::int64_t> parse_number(std::string_view field) noexcept;

/// Writes `value` as octal digits and a NUL, over the whole field; false where it doesn't fit.
bool put_octal(std::span<char, tar_block> block, Field where, std::uint64_t value) noexcept;
void put_text(std::span<char, tar_block> block, Field where, std::string_view text) noexcept;
/// Once everything else is in place.
void put_checksum(std::span<char, tar_block> block) noexcept;

/// The bytes after `size` up to the next block.
constexpr std::uint64_t padding(std::uint64_t size) noexcept { return (tar_block - size % tar_block) % tar_block; }

}  // namespace strata::detail
