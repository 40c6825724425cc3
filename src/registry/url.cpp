#include "registry/url.hpp"

#include <strata/error.hpp>

#include <curl/curl.h>

#include <array>
#include <memory>

namespace strata::detail {
namespace {

constexpr std::size_t longest = 16384;  // signed URLs of CDNs have some 2 KiB

struct Free {
  void operator()(CURLU* url) const noexcept { ::curl_url_cleanup(url); }
};
using Handle = std::unique_ptr<CURLU, Free>;

[[noreturn]] void refuse(const std::string& what) {
  throw_error(errc::bad_archive, "read", "the URL of an answer", what);
}

std::string part(CURLU* url, CURLUPart what, unsigned flags = 0) {
  char* text = nullptr;
  if (::curl_url_get(url, what, &text, flags) != CURLUE_OK) return {};
  std::string copied = text;
  ::curl_free(text);
  return copied;
}

Url url_of(CURLU* handle, const std::string& text) {
  // curl reads the user of what it is told before; what it isn't meant for must not be sent.
  if (text.size() > longest) refuse("it is longer than " + std::to_string(longest) + " bytes");
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= ' ' || c == 0x7f) refuse("it has blanks or controls in it");
  if (const CURLUcode code = ::curl_url_set(handle, CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME);
      code != CURLUE_OK)
    refuse(std::string("it is none (") + ::curl_url_strerror(code) + ")");
  Url url{.scheme = part(handle, CURLUPART_SCHEME),
          .host = part(handle, CURLUPART_HOST),
          .port = part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT),
          .target = part(handle, CURLUPART_PATH)};
  for (char& c : url.host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  if (url.scheme != "http" && url.scheme != "https") refuse("its scheme is " + quoted(url.scheme));
  if (url.host.empty()) refuse("it has no host");
  if (url.target.empty()) url.target = "/";
  if (const std::string query = part(handle, CURLUPART_QUERY); !query.empty()) url.target += "?" + query;
  return url;
}

}  // namespace

Url Url::parse(const std::string& text) {
  const Handle handle(::curl_url());
  if (!handle) throw std::bad_alloc();
  return url_of(handle.get(), text);
}

Url Url::resolve(const std::string& reference) const {
  const Handle handle(::curl_url());
  if (!handle) throw std::bad_alloc();
  url_of(handle.get(), to_string());
  return url_of(handle.get(), reference);
}

std::string Url::to_string() const { return scheme + "://" + host + ":" + port + target; }

std::string Url::shown() const {
  const bool usual = (scheme == "https" && port == "443") || (scheme == "http" && port == "80");
  return quoted(scheme + "://" + host + (usual ? "" : ":" + port));
}

Url Url::with(std::string_view name, std::string_view value) const {
  Url url = *this;
  url.target += (target.find('?') == std::string::npos ? "?" : "&") + url_encoded(name) + "=" + url_encoded(value);
  return url;
}

std::string url_encoded(std::string_view text) {
  static constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return encoded;
}

}  // namespace strata::detail
