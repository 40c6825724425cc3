#include "mount/simple_plan.hpp"

#include <strata/error.hpp>

#include <string>

namespace strata::detail {

void check_simple(const MountPlan& plan, std::string_view backend, std::size_t max_layers, std::string_view known) {
  plan.validate();
  const auto refuse = [&](const std::string& what) {
    throw_error(errc::refused, "mount", "this plan",
                what + " the kernel's overlay has alone, and not " + std::string(backend), "leave it out");
  };
  if (!plan.data_only.empty()) refuse("data-only lowers");
  if (!plan.ids.empty()) refuse("an id map");
  for (const auto& [option, value] : plan.options.spelled())
    if (option != known) refuse("option " + option);
  if (plan.lowers.size() > max_layers)
    throw_error(errc::limit_exceeded, "mount", std::string(backend) + " on " + quoted(plan.target.native()),
                "it has " + std::to_string(plan.lowers.size()) + " layers, and this backend takes at most " +
                    std::to_string(max_layers),
                "merge some of the layers");
}

}  // namespace strata::detail
