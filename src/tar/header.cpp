#include "tar/header.hpp"

#include <algorithm>
#include <cstring>

namespace strata::detail {
namespace {

constexpr std::string_view ustar_magic{"ustar\0", 6};
constexpr std::string_view gnu_magic{"ustar  \0", 8};
constexpr std::string_view star_trailer{"tar\0", 4};

std::optional<std::int64_t> parse_base256(std::string_view field) noexcept {
  const bool negative = (static_cast<unsigned char>(field.front()) & 0x40U) != 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    auto byte = static_cast<unsigned char>(field[i]);
    if (negative) byte = static_cast<unsigned char>(~byte);
    if (i == 0) byte &= 0x7FU;  // the bit that says "base 256"
    if (value >> 56U != 0) return std::nullopt;
    value = value << 8U | byte;
  }
  if (value >> 63U != 0) return std::nullopt;
  return negative ? ~static_cast<std::int64_t>(value) : static_cast<std::int64_t>(value);
}

}  // namespace

std::optional<std::int64_t> parse_number(std::string_view field) noexcept {
  if (field.empty()) return 0;
  if ((static_cast<unsigned char>(field.front()) & 0x80U) != 0) return parse_base256(field);
  const auto blank = [](char c) { return c == ' ' || c == '\0'; };
  while (!field.empty() && blank(field.front())) field.remove_prefix(1);
  field = field.substr(0, field.find('\0'));
  while (!field.empty() && field.back() == ' ') field.remove_suffix(1);
  std::uint64_t value = 0;
  for (const char c : field) {
    if (c < '0' || c > '7') return std::nullopt;
    value = value << 3U | static_cast<unsigned>(c - '0');  // 12 digits at most: 36 bits
  }
  return static_cast<std::int64_t>(value);
}

std::string_view HeaderBlock::text(Field where) const noexcept {
  const std::string_view all = raw(where);
  return all.substr(0, all.find('\0'));
}

std::optional<std::int64_t> HeaderBlock::number(Field where) const noexcept { return parse_number(raw(where)); }

bool HeaderBlock::is_zero() const noexcept {
  return text_.front() == '\0' && std::memcmp(text_.data(), text_.data() + 1, text_.size() - 1) == 0;
}

HeaderBlock::Checksum HeaderBlock::checksum() const noexcept {
  const std::string_view stored_text = raw(field::checksum);
  // A blank field would be a checksum of 0, which no header has: its own field counts as eight spaces.
  const auto stored = parse_number(stored_text);
  if (!stored) return Checksum::wrong;
  std::uint32_t sum = 0;
  // By a constant, so that the compiler adds many at once: this is most of the cost of an entry.
  for (std::size_t i = 0; i < tar_block; ++i) sum += static_cast<unsigned char>(text_[i]);
  for (const char c : stored_text) sum -= static_cast<unsigned char>(c);
  sum += 8 * ' ';
  if (*stored == sum) return Checksum::right;
  // Old tars of machines with signed char.
  std::int32_t signed_sum = 8 * ' ';
  for (const char c : text_) signed_sum += static_cast<signed char>(c);
  for (const char c : stored_text) signed_sum -= static_cast<signed char>(c);
  return *stored == signed_sum ? Checksum::as_signed : Checksum::wrong;
}

Dialect HeaderBlock::dialect() const noexcept {
  const std::string_view magic = raw(field::magic);
  if (magic == gnu_magic) return Dialect::gnu;
  if (!magic.starts_with(ustar_magic)) return Dialect::v7;
  return raw(field::star_trailer) == star_trailer ? Dialect::star : Dialect::ustar;
}

std::string HeaderBlock::path() const {
  std::string_view prefix;
  switch (dialect()) {
    case Dialect::ustar:
      prefix = text(field::prefix);
      break;
    case Dialect::star:
      if (type() != 'S') prefix = text(field::star_prefix);
      break;
    case Dialect::gnu:
    case Dialect::v7:
      break;
  }
  std::string path(prefix);
  if (!prefix.empty()) path += '/';
  return path.append(text(field::name));
}

bool put_octal(std::span<char, tar_block> block, Field where, std::uint64_t value) noexcept {
  char* at = block.data() + where.offset + where.size - 1;
  *at = '\0';
  for (std::size_t digits = where.size - 1; digits > 0; --digits, value >>= 3U) {
    *--at = static_cast<char>('0' + (value & 7U));
  }
  return value == 0;
}

void put_text(std::span<char, tar_block> block, Field where, std::string_view text) noexcept {
  std::memcpy(block.data() + where.offset, text.data(), std::min(where.size, text.size()));
}

void put_checksum(std::span<char, tar_block> block) noexcept {
  put_text(block, field::checksum, "        ");
  std::uint32_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  // Six digits, NUL, space: the form that every tar writes.
  put_octal(block, {field::checksum.offset, 7}, sum);
}

}  // namespace strata::detail
