// A digest: the name of some bytes, "ALGORITHM:HEX" as the OCI image spec writes it (descriptor.md, "Digests").
#pragma once

#include <strata/export.hpp>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace strata {

/// A value: 4 to 64 bytes (sha256 32, sha512 64) and the name of the algorithm that made them. Always valid but when
/// default constructed (empty()). Comparing digests of different algorithms is allowed; they differ.
class STRATA_API Digest {
 public:
  static constexpr std::size_t max_size = 64;

  Digest() = default;
  /// `algorithm`: [a-z0-9]+, at most 15 bytes. Throws errc::bad_argument.
  Digest(std::string_view algorithm, std::span<const std::byte> bytes);

  /// Reads "sha256:9f86…". Throws errc::bad_argument that names the text and what is wrong with it.
  static Digest parse(std::string_view text);
  /// The same, for text that may well be none.
  static std::optional<Digest> try_parse(std::string_view text) noexcept;

  std::string_view algorithm() const noexcept { return {algorithm_.data(), algorithm_size_}; }
  std::span<const std::byte> bytes() const noexcept { return {bytes_.data(), size_}; }
  /// Lower-case hexadecimal, without the algorithm.
  std::string hex() const;
  /// "sha256:9f86…"; of an empty digest nothing.
  std::string to_string() const;
  bool empty() const noexcept { return size_ == 0; }

  friend bool operator==(const Digest&, const Digest&) noexcept = default;
  friend std::strong_ordering operator<=>(const Digest&, const Digest&) noexcept = default;

 private:
  std::array<char, 15> algorithm_{};
  std::uint8_t algorithm_size_ = 0;
  std::uint8_t size_ = 0;
  std::array<std::byte, max_size> bytes_{};
};

}  // namespace strata

template <>
struct std::hash<strata::Digest> {
  std::size_t operator()(const strata::Digest& digest) const noexcept {
    std::size_t seed = 0;
    for (std::size_t i = 0; i < sizeof seed && i < digest.bytes().size(); ++i)
      seed = seed << 8 | std::to_integer<std::size_t>(digest.bytes()[i]);
    return seed;
  }
};
