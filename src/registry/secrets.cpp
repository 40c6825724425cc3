#include "registry/secrets.hpp"

#include "registry/url.hpp"

#include <algorithm>
#include <cstdint>

namespace strata::detail {
namespace {
constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

std::string base64(std::string_view text) {
  std::string encoded;
  for (std::size_t at = 0; at < text.size(); at += 3) {
    const std::string_view three = text.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (i < three.size() ? static_cast<unsigned char>(three[i]) : 0U);
    for (std::size_t i = 0; i < 4; ++i) encoded += i <= three.size() ? letters[bits >> (18 - 6 * i) & 63] : '=';
  }
  return encoded;
}

std::optional<std::string> from_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string decoded;
  std::uint32_t bits = 0;
  unsigned have = 0;
  for (const char c : text) {
    const std::size_t value = letters.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6 | static_cast<std::uint32_t>(value)) & 0xffff;
    have += 6;
    if (have < 8) continue;
    have -= 8;
    decoded += static_cast<char>(bits >> have & 0xff);
  }
  return decoded;
}

void Secrets::add(const std::string& secret) {
  if (secret.empty()) return;
  keep(secret);
  keep(url_encoded(secret));  // as it is sent in a form
}

void Secrets::keep(const std::string& secret) {
  const std::lock_guard lock(mutex_);
  if (std::ranges::find(secrets_, secret) != secrets_.end()) return;
  secrets_.push_back(secret);
  // Longer ones first: one may be a part of another.
  std::ranges::stable_sort(secrets_, std::ranges::greater{}, &std::string::size);
}

std::string Secrets::hidden(std::string text) const {
  const std::lock_guard lock(mutex_);
  for (const std::string& secret : secrets_)
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos;)
      text.replace(at, secret.size(), "[secret]"), at += std::string_view("[secret]").size();
  return text;
}

}  // namespace strata::detail
