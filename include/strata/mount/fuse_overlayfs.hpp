// The mount backend over fuse-overlayfs, a program that serves an overlay through FUSE.
#pragma once

#include <strata/concepts.hpp>
#include <strata/export.hpp>
#include <strata/mount_plan.hpp>

#include <cstddef>
#include <string_view>

namespace strata {

/// fuse-overlayfs (seen with 1.10; libfuse 3.3). The filesystem is mounted here, with the plan's source as its name,
/// and the program, found in PATH, is given the other end. For a user namespace of a kernel whose overlay can't be
/// mounted there, before 5.11; needs CAP_SYS_ADMIN in the mount namespace's user namespace, and /dev/fuse.
///
/// The program runs in the background until the mount goes. If it dies, every access fails with ENOTCONN
/// (MountedRoot::works()), until the mount is taken down and mounted again. Stateless; any number of threads.
class STRATA_API FuseOverlayfs {
 public:
  static constexpr std::string_view name = "fuse-overlayfs";
  static constexpr std::size_t max_layers = 1000;

  /// Looks for the program and for /dev/fuse.
  MountProbe probe() const;
  /// Both of the kernel overlay's; overlay_trusted only where this process sees such marks.
  bool reads(UnionForm form) const;
  /// UnionForm::fuse_overlayfs: it marks opaque directories in three ways at once.
  UnionForm writes(UnionForm) const { return UnionForm::fuse_overlayfs; }
  /// Of overlay's options `volatile` is known, and any other refused. Lowers that are no trees of a store are
  /// looked through for the marks redirect and metacopy of the kernel's overlay, which the program doesn't know and
  /// would read wrongly without a word: they are refused. So is an upper in whose path there is a ':'
  /// (errc::unsupported).
  MountResult mount(const MountPlan& plan) const;
  void unmount(std::string_view target) const;
};

static_assert(MountBackend<FuseOverlayfs>);

}  // namespace strata
