// Facts about the kernel and this process.
#pragma once

#include <strata/whiteout.hpp>

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

namespace strata::detail {

struct KernelVersion {
  int major_number = 0;
  int minor_number = 0;
  friend auto operator<=>(const KernelVersion&, const KernelVersion&) = default;
};
/// Of the running kernel.
KernelVersion kernel_version();
/// "6.1.0-13-amd64"
std::string kernel_release();

/// Whether the process is in the user namespace that the kernel started with: only there can it read trusted.*.
bool in_initial_user_namespace();
/// Whether this process sees marks in that namespace of overlay's attributes: what is called trusted.* is there for
/// CAP_SYS_ADMIN in the first user namespace, and for others as if it weren't.
bool sees_marks(UnionForm form);
/// The effective capabilities of this thread, bit N for capability number N.
std::uint64_t effective_capabilities();
/// Whether it has CAP_SYS_ADMIN over its mount namespace, without which nothing can be mounted: one in a user namespace
/// but not in a mount namespace of that has it over nothing.
bool can_mount();

/// The whole of a small or generated file; nullopt where it can't be read (errno says why).
std::optional<std::string> read_text(const char* path);

}  // namespace strata::detail
