#include <strata/digest.hpp>
#include <strata/error.hpp>

#include <algorithm>

namespace strata {
namespace {

constexpr std::size_t min_size = 4;

/// What is wrong with a digest of that algorithm and size; empty: nothing.
std::string_view problem_with(std::string_view algorithm, std::size_t size) noexcept {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (algorithm.empty()) return "it names no algorithm";
  if (algorithm.size() > 15) return "the algorithm's name is longer than 15 bytes";
  if (!std::ranges::all_of(algorithm, allowed)) return "an algorithm's name has only the characters a-z and 0-9";
  if (algorithm == "sha256" && size != 32) return "a sha256 digest has 64 hexadecimal digits";
  if (algorithm == "sha512" && size != 64) return "a sha512 digest has 128 hexadecimal digits";
  if (size < min_size || size > Digest::max_size) return "a digest has 8 to 128 hexadecimal digits";
  return {};
}

/// -1: none. Upper case is none: the OCI image spec has one spelling of each digest.
int value_of(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

struct Parsed {
  std::string_view algorithm;
  std::array<std::byte, Digest::max_size> bytes;
  std::size_t size = 0;
  std::string_view problem;
};

Parsed read(std::string_view text) noexcept {
  Parsed parsed;
  const std::size_t colon = text.find(':');
  if (colon == text.npos) {
    parsed.problem = "it has no ':'";
    return parsed;
  }
  parsed.algorithm = text.substr(0, colon);
  const std::string_view hex = text.substr(colon + 1);
  parsed.size = hex.size() / 2;
  parsed.problem = problem_with(parsed.algorithm, parsed.size);
  if (parsed.problem.empty() && hex.size() % 2 != 0) parsed.problem = "it has an odd number of hexadecimal digits";
  if (!parsed.problem.empty()) return parsed;
  for (std::size_t i = 0; i < parsed.size; ++i) {
    const int high = value_of(hex[2 * i]), low = value_of(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      parsed.problem = "after the ':' come only the digits 0-9 and a-f";
      return parsed;
    }
    parsed.bytes[i] = static_cast<std::byte>(high << 4 | low);
  }
  return parsed;
}

}  // namespace

Digest::Digest(std::string_view algorithm, std::span<const std::byte> bytes) {
  if (const auto problem = problem_with(algorithm, bytes.size()); !problem.empty())
    throw_error(errc::bad_argument, "make a digest of the algorithm", quoted(algorithm), std::string(problem));
  std::ranges::copy(algorithm, algorithm_.begin());
  algorithm_size_ = static_cast<std::uint8_t>(algorithm.size());
  std::ranges::copy(bytes, bytes_.begin());
  size_ = static_cast<std::uint8_t>(bytes.size());
}

Digest Digest::parse(std::string_view text) {
  const Parsed parsed = read(text);
  if (!parsed.problem.empty())
    throw_error(errc::bad_argument, "read the digest", quoted(text), std::string(parsed.problem),
                "write it as sha256:HEX");
  return Digest(parsed.algorithm, std::span(parsed.bytes).first(parsed.size));
}

std::optional<Digest> Digest::try_parse(std::string_view text) noexcept {
  const Parsed parsed = read(text);
  if (!parsed.problem.empty()) return std::nullopt;
  return Digest(parsed.algorithm, std::span(parsed.bytes).first(parsed.size));
}

std::string Digest::hex() const {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  text.reserve(std::size_t{2} * size_);
  for (const std::byte byte : bytes()) {
    text += digits[std::to_integer<unsigned>(byte >> 4)];
    text += digits[std::to_integer<unsigned>(byte & std::byte{15})];
  }
  return text;
}

std::string Digest::to_string() const {
  if (empty()) return {};
  return std::string(algorithm()).append(":").append(hex());
}

}  // namespace strata
