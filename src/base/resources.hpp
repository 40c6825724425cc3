// What a machine runs out of: which errnos say so, and what is to be done about each.
#pragma once

#include <boost/system/error_code.hpp>

#include <string_view>

namespace strata::detail {

/// The remedy for an errno that says that something has run out, or is shut; empty for all others.
std::string_view remedy_of(int number) noexcept;

/// Whether an error tells what this process, or this machine, lacks now (memory, descriptors, threads), and nothing of
/// what was looked at: not damage, and gone when there is room again.
bool is_shortage(const boost::system::error_code& code) noexcept;

}  // namespace strata::detail
