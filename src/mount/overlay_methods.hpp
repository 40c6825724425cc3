// The ways to make an overlay mount, newest first. Each takes a validated plan, and returns what the kernel
// mounted, or throws; nullopt where this kernel doesn't know the way, so that the next one is tried.
#pragma once

#include <strata/file_descriptor.hpp>
#include <strata/mount_plan.hpp>

#include <cstddef>
#include <optional>

namespace strata::detail {

/// The options of a plan as the kernel gets them: those that are set, and `userxattr` where the form needs it.
std::vector<std::pair<std::string, std::string>> kernel_options(const MountPlan& plan);

/// fsopen (Linux 5.2) with a "lowerdir+" for each layer: by descriptor (6.13), for which any name is good, or by name
/// (6.7), of at most 255 bytes. The mount is detached: nothing sees it until it is attached, and closing it undoes it.
std::optional<FileDescriptor> mount_by_context(const MountPlan& plan, bool descriptors);

/// Whether this kernel has "lowerdir+" for names.
bool takes_layers_by_name();

/// What mount(2) takes as its data.
inline constexpr std::size_t longest_classic = 4095;
/// What it would take to give it the layers by name.
std::size_t classic_bytes(const MountPlan& plan);

/// mount(2) at plan.target. Its data is one page, cut without a word at 4095 bytes: where the names are longer, the
/// layers are given as numbers of descriptors. Returns the root of what was mounted.
FileDescriptor mount_classic(const MountPlan& plan);

}  // namespace strata::detail
