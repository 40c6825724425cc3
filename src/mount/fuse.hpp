// Filesystems that a program serves.
#pragma once

#include <strata/file_descriptor.hpp>
#include <strata/mount_plan.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// Why no program can serve a filesystem here, and what would help; empty: one can.
std::string why_no_fuse();

/// Mounts a filesystem of type "fuse.SUBTYPE" at plan.target, which `program` serves, a word each, and a last one that
/// names its end of it. It inherits `kept`. Throws Error with what it said; then nothing is mounted.
void mount_fuse(const MountPlan& plan, const std::string& subtype, std::vector<std::string> program,
                std::vector<int> kept);

/// Takes down what is mounted there, if a program serves it, or did until it died.
void unmount_fuse(const std::string& target, std::string_view what);

}  // namespace strata::detail
