#include "base/budget.hpp"

#include <strata/error.hpp>

#include <algorithm>

namespace strata {

namespace {

constexpr BudgetLimit limits[] = {
    {"tar_bytes", &Budget::tar_bytes, true},
    {"file_bytes", &Budget::file_bytes, true},
    {"apparent_bytes", &Budget::apparent_bytes, true},
    {"entries", &Budget::entries, false},
    {"memory", &Budget::memory, true},
    {"depth", &Budget::depth, false},
    {"name_bytes", &Budget::name_bytes, true},
    {"path_bytes", &Budget::path_bytes, true},
    {"entry_xattr_bytes", &Budget::entry_xattr_bytes, true},
    {"xattr_bytes", &Budget::xattr_bytes, true},
    {"ratio", &Budget::ratio, false},
    {"ratio_from", &Budget::ratio_from, true},
};
static_assert(sizeof(Budget) == std::size(limits) * sizeof(std::uint64_t), "a limit is missing in the list");

}  // namespace

Budget Budget::none() noexcept {
  Budget budget;
  for (const BudgetLimit& limit : limits) budget.*limit.value = unlimited;
  return budget;
}

std::span<const BudgetLimit> budget_limits() noexcept { return limits; }

namespace detail {

void throw_over_budget(const Budget& budget, std::uint64_t Budget::*limit, const std::string& subject,
                       const std::string& found) {
  const auto known = std::ranges::find(limits, limit, &BudgetLimit::value);
  const std::string name(known->name);
  throw_error(errc::limit_exceeded, "accept", subject,
              found + ", and the budget has " + name + "=" + std::to_string(budget.*limit),
              "raise " + name + " in the budget if the layer may use more");
}

}  // namespace detail

}  // namespace strata
