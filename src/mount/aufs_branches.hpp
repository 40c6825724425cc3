// What AUFS is told of a plan.
#pragma once

#include <strata/mount_plan.hpp>

#include <string>
#include <vector>

namespace strata::detail {

/// The data of mount(2), then of one remount after the other. Throws errc::unsupported that names a path which AUFS
/// would take for something else.
std::vector<std::string> aufs_steps(const MountPlan& plan);

}  // namespace strata::detail
