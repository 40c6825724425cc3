#include "registry/token.hpp"

#include <strata/error.hpp>

#include "image/json.hpp"

#include <algorithm>

namespace strata::detail {

Token Token::parse(std::string_view answer, const std::string& from) {
  const OrderedJson json = parse_object(answer, "the token of " + from);
  const JsonObject object(json, "the token of " + from);
  Token token{.text = object.text_or_empty("token")};
  if (token.text.empty()) token.text = object.text_or_empty("access_token");  // OAuth2's name for it
  if (token.text.empty()) object.bad("token", "it is missing");
  // It becomes a header.
  const bool fits =
      token.text.size() <= 16384 && std::ranges::all_of(token.text, [](char c) { return c > ' ' && c < 0x7f; });
  if (!fits) object.bad("token", "it is too long, or has bytes that no header may have");
  // The documentation asks for 60 seconds where nothing, or less, is said.
  constexpr std::uint64_t least = 60, most = 24U * 60 * 60;
  if (object.has("expires_in"))
    token.lifetime = std::chrono::seconds(std::clamp(object.number("expires_in"), least, most));
  return token;
}

std::vector<std::string> with_scope(std::vector<std::string> needed, std::string_view challenged) {
  const auto resource = [](std::string_view scope) { return scope.substr(0, scope.rfind(':')); };
  for (std::size_t at = 0; at < challenged.size();) {
    const std::size_t end = std::min(challenged.find(' ', at), challenged.size());
    const std::string_view scope = challenged.substr(at, end - at);
    at = end + 1;
    const bool covered =
        std::ranges::any_of(needed, [&](const std::string& one) { return resource(one) == resource(scope); });
    if (!scope.empty() && !covered) needed.emplace_back(scope);
  }
  return needed;
}

}  // namespace strata::detail
