// Why overlayfs refused: from an errno and what the kernel wrote (or, where it can't be read, a look at the plan's
// directories) to a cause and a remedy.
#pragma once

#include <strata/mount_plan.hpp>

#include <string>

namespace strata::detail {

/// "overlay on 'TARGET'", or what stands for it of a mount that has none.
std::string subject_of(const MountPlan& plan);

/// Throws the Error of a mount that failed with `number`. `said`: the kernel's messages, may be empty.
[[noreturn]] void throw_overlay_error(int number, const MountPlan& plan, const std::string& said);

}  // namespace strata::detail
