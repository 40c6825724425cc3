// Plans of backends that have less than the kernel's overlay.
#pragma once

#include <strata/mount_plan.hpp>

#include <cstddef>
#include <limits>
#include <string_view>

namespace strata::detail {

/// Validates the plan, and refuses by name what is the kernel overlay's alone: data-only lowers, an id map, and each
/// option but `known`. Throws errc::limit_exceeded where there are more lowers than `backend` takes.
void check_simple(const MountPlan& plan, std::string_view backend,
                  std::size_t max_layers = std::numeric_limits<std::size_t>::max(), std::string_view known = {});

}  // namespace strata::detail
