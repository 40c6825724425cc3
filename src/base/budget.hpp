// How a layer that exceeds its budget is refused.
#pragma once

#include <strata/budget.hpp>

#include <cstdint>
#include <string>

namespace strata::detail {

/// `found` (one clause: "it has 3 names") is more than the limit. `subject`: the entry or the stream, as it is to be
/// shown. Throws errc::limit_exceeded that names the limit and its value.
[[noreturn]] void throw_over_budget(const Budget& budget, std::uint64_t Budget::*limit, const std::string& subject,
                                    const std::string& found);

/// `used + more`, or Budget::unlimited where that is no number.
constexpr std::uint64_t add_capped(std::uint64_t used, std::uint64_t more) {
  return more > Budget::unlimited - used ? Budget::unlimited : used + more;
}

}  // namespace strata::detail
