// The mount backend that keeps layers as EROFS images, under the kernel's overlay.
#pragma once

#include <strata/concepts.hpp>
#include <strata/export.hpp>
#include <strata/mount_plan.hpp>

#include <cstddef>
#include <string_view>

namespace strata {

/// Keeps each layer as a read-only EROFS image in plan.kept, made once by the program mkfs.erofs (Debian's erofs-utils;
/// seen with 1.5), and stacks the images by the kernel's overlay. What the layers hold can't be changed through the
/// mount or beside it, and is read from one file each. The images are mounted from their files, without loop devices
/// (Linux 6.12), and by nobody but the overlay: nothing of them is seen in the mount table, and they go with it.
///
/// Needs CAP_SYS_ADMIN outside of user namespaces, layers by descriptor (Linux 6.13), and plan.kept on ext4, xfs or
/// btrfs (a tmpfs can't be mounted from). Stateless; any number of threads and processes, of which one makes images at
/// a time. A crash leaves "making" in plan.kept, which the next mount overwrites. What is kept of a layer goes with the
/// layer.
class STRATA_API Erofs {
 public:
  static constexpr std::string_view name = "erofs";
  static constexpr std::size_t max_layers = 500;
  static constexpr bool keeps = true;

  /// Looks for the program, the filesystem and the kernel's version.
  MountProbe probe() const;
  /// As KernelOverlay.
  bool reads(UnionForm form) const;
  /// Options are those of KernelOverlay. Lowers that plan.chain doesn't name are stacked as they are.
  MountResult mount(const MountPlan& plan) const;
  void unmount(std::string_view target) const;
};

static_assert(MountBackend<Erofs>);

}  // namespace strata
