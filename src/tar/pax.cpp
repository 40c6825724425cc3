#include "tar/pax.hpp"

#include "tar/malformed.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace strata::detail {
namespace {

constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view hex_digits = "0123456789ABCDEF";

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

constexpr int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

[[noreturn]] void bad_record(std::string_view why) { throw Malformed{"a PAX record " + std::string(why)}; }

bool has_nul(std::string_view text) noexcept { return text.find('\0') != text.npos; }

/// Values that become C strings in the kernel: what follows a NUL would be lost in silence.
bool is_c_string(std::string_view key) noexcept {
  return key == "path" || key == "linkpath" || key == "uname" || key == "gname" || key == "GNU.sparse.name";
}

}  // namespace

void parse_pax(std::string_view payload, std::vector<PaxRecord>& into) {
  while (!payload.empty()) {
    std::uint64_t length = 0;
    const auto [digits_end, error] = std::from_chars(payload.data(), payload.data() + payload.size(), length);
    const auto digits = static_cast<std::size_t>(digits_end - payload.data());
    if (error != std::errc{} || digits == payload.size() || *digits_end != ' ')
      bad_record("does not begin with its length");
    if (length > payload.size()) bad_record("is longer than its header");
    if (length < digits + 2) bad_record("is shorter than its own length field");
    std::string_view record = payload.substr(0, length);
    payload.remove_prefix(length);
    if (record.back() != '\n') bad_record("does not end in a newline");
    record.remove_suffix(1);
    record.remove_prefix(digits + 1);
    const auto equals = record.find('=');
    if (equals == record.npos) bad_record("has no '='");
    const PaxRecord found{record.substr(0, equals), record.substr(equals + 1)};
    if (found.key.empty()) bad_record("has no keyword");
    if (has_nul(found.key)) bad_record("has a NUL in its keyword");
    if (is_c_string(found.key) && has_nul(found.value)) {
      throw Malformed{"its PAX record " + std::string(found.key) + " has a NUL in it"};
    }
    into.push_back(found);
  }
}

void append_pax(std::string& payload, std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;  // the space, the '=' and the newline
  std::string length = std::to_string(rest + 1);
  // The length counts its own digits, which may add one more.
  for (std::size_t digits = 0; digits != length.size();) {
    digits = length.size();
    length = std::to_string(rest + digits);
  }
  payload.append(length).append(1, ' ').append(key).append(1, '=').append(value).append(1, '\n');
}

std::optional<std::int64_t> parse_decimal(std::string_view text) noexcept {
  std::int64_t value = 0;
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<Timestamp> parse_pax_time(std::string_view text) noexcept {
  const bool negative = text.starts_with('-');
  const auto point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  const std::size_t sign = negative ? 1 : 0;
  if (whole.size() == sign || !is_digit(whole[sign])) return std::nullopt;
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(whole.data(), whole.data() + whole.size(), seconds);
  if (error != std::errc{} || end != whole.data() + whole.size()) return std::nullopt;
  const std::string_view fraction = point == text.npos ? std::string_view{} : text.substr(point + 1);
  if (!std::all_of(fraction.begin(), fraction.end(), is_digit)) return std::nullopt;
  std::uint32_t nanoseconds = 0;
  for (std::size_t i = 0; i < 9; ++i) {
    nanoseconds = nanoseconds * 10 + (i < fraction.size() ? static_cast<std::uint32_t>(fraction[i] - '0') : 0U);
  }
  if (!negative) return Timestamp{seconds, nanoseconds};
  const bool more = fraction.size() > 9 && fraction.find_first_not_of('0', 9) != fraction.npos;
  if (more) ++nanoseconds;  // further into the past; at most a whole second
  if (nanoseconds == 0) return Timestamp{seconds, 0};
  if (seconds == std::numeric_limits<std::int64_t>::min()) return std::nullopt;
  return Timestamp{seconds - 1, 1'000'000'000U - nanoseconds};
}

std::string format_pax_time(Timestamp time) {
  std::string text;
  std::uint32_t nanoseconds = time.nanoseconds;
  if (time.seconds >= 0 || nanoseconds == 0) {
    text = std::to_string(time.seconds);
  } else {
    // -2 s and 500,000,000 ns is written -1.5; the sign by hand, since -1 s and some ns is "-0.…".
    text = '-' + std::to_string(-(time.seconds + 1));
    nanoseconds = 1'000'000'000U - nanoseconds;
  }
  if (nanoseconds == 0) return text;
  std::string fraction = std::to_string(1'000'000'000U + nanoseconds);
  fraction.front() = '.';
  return text + fraction.substr(0, fraction.find_last_not_of('0') + 1);
}

std::string decode_percent(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string encode_percent(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain =
        is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_';
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.append({'%', hex_digits[byte >> 4U], hex_digits[byte & 15U]});
    }
  }
  return out;
}

std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string out;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const auto digit = base64_digits.find(c);
    if (digit == base64_digits.npos) return std::nullopt;
    bits = bits << 6U | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFFU);
    }
  }
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char c : bytes) {
    bits = bits << 8U | static_cast<unsigned char>(c);
    for (count += 8; count >= 6;) {
      count -= 6;
      out += base64_digits[bits >> count & 63U];
    }
  }
  if (count > 0) out += base64_digits[bits << (6 - count) & 63U];
  return out;
}

}  // namespace strata::detail
