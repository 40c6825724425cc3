#include "tar/sparse.hpp"

#include "tar/header.hpp"
#include "tar/malformed.hpp"
#include "tar/pax.hpp"

#include <limits>

namespace strata::detail {
namespace {

constexpr auto max_number = std::numeric_limits<std::int64_t>::max();

[[noreturn]] void bad_map(std::string_view why) { throw Malformed{"its sparse map " + std::string(why)}; }

}  // namespace

void SparseMap::add(std::optional<std::int64_t> offset, std::optional<std::int64_t> size) {
  if (!offset || !size || *offset < 0 || *size < 0) bad_map("has a number that is none");
  if (++count_ > limit_) {
    throw Malformed{"its sparse map has more than " + std::to_string(limit_) + " extents", errc::limit_exceeded};
  }
  if (*size > max_number - *offset) bad_map("goes beyond 63 bits");
  const SparseExtent extent{static_cast<std::uint64_t>(*offset), static_cast<std::uint64_t>(*size)};
  if (extent.offset < end_) bad_map("has extents that overlap or go backwards");
  end_ = extent.offset + extent.size;
  data_ += extent.size;
  if (extent.size != 0) extents_.push_back(extent);
}

void SparseMap::add_table(std::string_view table) {
  for (; table.size() >= 24 && table.front() != '\0'; table.remove_prefix(24)) {
    add(parse_number(table.substr(0, 12)), parse_number(table.substr(12, 12)));
  }
}

void SparseMap::add_text(std::string_view text, std::optional<std::int64_t> blocks) {
  std::int64_t pairs = 0;
  const auto next = [&]() -> std::optional<std::int64_t> {
    const auto comma = text.find(',');
    const auto value = parse_decimal(text.substr(0, comma));
    text.remove_prefix(comma == text.npos ? text.size() : comma + 1);
    return value;
  };
  for (; !text.empty(); ++pairs) {
    const auto offset = next();
    add(offset, next());
  }
  if (blocks && pairs != *blocks) bad_map("has another number of extents than its header says");
}

void SparseMap::check(std::uint64_t file_size, std::uint64_t stored_size) const {
  if (end_ > file_size) bad_map("goes beyond the end of the file");
  if (data_ != stored_size) {
    bad_map("has " + std::to_string(data_) + " bytes of data, the archive " + std::to_string(stored_size));
  }
}

std::size_t SparseTextParser::take(std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  while (taken < bytes.size() && !done()) {
    const char c = static_cast<char>(bytes[taken++]);
    if (c == '\n' && value_) {
      const std::int64_t value = *value_;
      value_.reset();
      number(value);
    } else if (c >= '0' && c <= '9') {
      const std::int64_t digit = c - '0';
      const std::int64_t before = value_.value_or(0);
      if (before > (max_number - digit) / 10) bad_map("goes beyond 63 bits");
      value_ = before * 10 + digit;
    } else {
      bad_map("has a number that is none");
    }
  }
  return taken;
}

void SparseTextParser::number(std::int64_t value) {
  --numbers_left_;
  if (!counted_) {
    counted_ = true;
    // The map itself refuses what is over its limit, before anything large was kept.
    numbers_left_ = static_cast<std::uint64_t>(value) * 2;
  } else if (!offset_) {
    offset_ = value;
  } else {
    map_.add(offset_, value);
    offset_.reset();
  }
}

std::string format_sparse_text(std::span<const SparseExtent> extents, std::uint64_t file_size) {
  // A hole at the end is marked by an extent without data there, as GNU tar does: some readers know the size only
  // from it.
  const bool hole_at_end = extents.empty() || extents.back().offset + extents.back().size != file_size;
  std::string text = std::to_string(extents.size() + (hole_at_end ? 1 : 0)) + '\n';
  const auto add = [&](std::uint64_t offset, std::uint64_t size) {
    text += std::to_string(offset) + '\n' + std::to_string(size) + '\n';
  };
  for (const SparseExtent& extent : extents) add(extent.offset, extent.size);
  if (hole_at_end) add(file_size, 0);
  text.append(padding(text.size()), '\0');
  return text;
}

}  // namespace strata::detail
