// Names that people give to things of a store: containers, leases.
#pragma once

#include <string_view>

namespace strata::detail {

/// Throws errc::bad_argument, as "cannot use WHAT name 'NAME'", unless it is 1 to 200 letters, digits, '_', '.' and
/// '-', beginning with a letter or a digit: it is a file's name as it stands.
void check_name(std::string_view what, std::string_view name);

bool is_letter_or_digit(char c);  ///< of ASCII

}  // namespace strata::detail
