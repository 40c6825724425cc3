// Bearer tokens, as the distribution project's token servers give them.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

struct Token {
  std::string text;
  std::chrono::seconds lifetime{60};  ///< from when it was given on

  /// The answer of a token server; `from` is what messages call it. Throws errc::bad_archive, which shows nothing of
  /// it.
  static Token parse(std::string_view answer, const std::string& from);
};

/// What is asked for: the scopes that a request needs, and that of a challenge, where it is of something else.
/// ("repository:app/web:pull,push": kind, name, what is to be done.)
std::vector<std::string> with_scope(std::vector<std::string> needed, std::string_view challenged);

}  // namespace strata::detail
