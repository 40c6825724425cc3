#include <strata/error.hpp>
#include <strata/id_map.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>

namespace strata {

namespace {

constexpr std::uint64_t ids = std::numeric_limits<std::uint32_t>::max();  // the highest number means none

std::string text_of(const IdRange& range) {
  return std::to_string(range.container) + ":" + std::to_string(range.host) + ":" + std::to_string(range.count);
}

[[noreturn]] void throw_unusable(const std::string& range, std::string why) {
  throw_error(errc::bad_argument, "use the id range", quoted(range), std::move(why));
}

/// No two ranges may have an id in common; of one side, whose first ids `first` names.
void check_side(std::vector<IdRange> ranges, std::uint32_t IdRange::*first, const char* where) {
  std::ranges::sort(ranges, {}, first);
  const auto two = std::ranges::adjacent_find(
      ranges, [first](const IdRange& a, const IdRange& b) { return b.*first - a.*first < a.count; });
  if (two != ranges.end())
    throw_unusable(text_of(*std::next(two)), "it has ids " + std::string(where) + " that " + text_of(*two) + " has");
}

IdRange parse_range(std::string_view text) {
  IdRange range;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (const auto part : {&IdRange::container, &IdRange::host, &IdRange::count}) {
    const auto [next, error] = std::from_chars(at, end, range.*part);
    const bool last = part == &IdRange::count;
    if (error != std::errc() || (last ? next != end : next == end || *next != ':'))
      throw_unusable(std::string(text), "it is no CONTAINER:HOST:SIZE of numbers up to " + std::to_string(ids));
    at = next + (last ? 0 : 1);
  }
  return range;
}

std::optional<std::uint32_t> look_up(const std::vector<IdRange>& ranges, std::uint64_t id, std::uint32_t IdRange::*from,
                                     std::uint32_t IdRange::*to) {
  if (ranges.empty()) return id < ids ? std::optional(static_cast<std::uint32_t>(id)) : std::nullopt;
  for (const IdRange& range : ranges)
    if (id >= range.*from && id - range.*from < range.count)
      return range.*to + static_cast<std::uint32_t>(id - range.*from);
  return std::nullopt;
}

}  // namespace

IdRanges::IdRanges(std::vector<IdRange> ranges) : ranges_(std::move(ranges)) {
  for (const IdRange& range : ranges_) {
    if (range.count == 0) throw_unusable(text_of(range), "it is empty");
    if (std::max(std::uint64_t{range.container}, std::uint64_t{range.host}) + range.count > ids)
      throw_unusable(text_of(range), "it reaches beyond " + std::to_string(ids - 1) + ", the highest id");
  }
  check_side(ranges_, &IdRange::container, "in the container");
  check_side(ranges_, &IdRange::host, "on the host");
}

IdRanges IdRanges::parse(std::string_view text) {
  std::vector<IdRange> ranges;
  for (;;) {
    const std::size_t comma = text.find(',');
    ranges.push_back(parse_range(text.substr(0, comma)));
    if (comma == text.npos) return IdRanges(std::move(ranges));
    text.remove_prefix(comma + 1);
  }
}

std::optional<std::uint32_t> IdRanges::to_host(std::uint64_t container) const noexcept {
  return look_up(ranges_, container, &IdRange::container, &IdRange::host);
}

std::optional<std::uint32_t> IdRanges::to_container(std::uint64_t host) const noexcept {
  return look_up(ranges_, host, &IdRange::host, &IdRange::container);
}

}  // namespace strata
