#include "base/names.hpp"

#include <strata/error.hpp>

namespace strata::detail {

namespace {
constexpr std::size_t longest_name = 200;
}

bool is_letter_or_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

void check_name(std::string_view what, std::string_view name) {
  bool good = !name.empty() && name.size() <= longest_name && is_letter_or_digit(name.front());
  for (const char c : name) good = good && (is_letter_or_digit(c) || c == '_' || c == '.' || c == '-');
  if (!good)
    throw_error(errc::bad_argument, "use", std::string(what) + " name " + quoted(name), {},
                "a name is 1 to 200 letters, digits, '_', '.' and '-', and begins with a letter or a digit");
}

}  // namespace strata::detail
