// URLs of registries, token servers, and where these send us. They come from outside.
#pragma once

#include <string>
#include <string_view>

namespace strata::detail {

/// Of http or https. User and password in one are dropped when it is read: no message shows them, nobody gets them.
struct Url {
  std::string scheme = {};
  std::string host = {};
  std::string port = {};    ///< never empty
  std::string target = {};  ///< path and query, as they are sent; begins with '/'

  /// Throws errc::bad_archive, which shows nothing behind the host: a query may be a signature.
  static Url parse(const std::string& text);
  /// What a Location or Link, absolute or relative, means in an answer of this one.
  Url resolve(const std::string& reference) const;

  std::string to_string() const;
  /// For messages: where it is, without what it asks for.
  std::string shown() const;
  bool has_origin_of(const Url& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
  /// With one more parameter, which is encoded.
  Url with(std::string_view name, std::string_view value) const;
};

/// %-encoded but for RFC 3986's unreserved characters.
std::string url_encoded(std::string_view text);

}  // namespace strata::detail
