// The mount backend over btrfs: a snapshot a container.
#pragma once

#include <strata/concepts.hpp>
#include <strata/export.hpp>
#include <strata/mount_plan.hpp>

#include <string_view>

namespace strata {

/// Keeps each layer, with all below it, as a subvolume in plan.kept: made once, of a snapshot of the one below it and
/// the layer's tree, whose blocks it shares. A container's upper is a snapshot of its layer's. So the first mount of a
/// chain takes as long as its new files are many, and each further one the same small time, however large the chain is.
///
/// The store has to be on btrfs. An ordinary user may do this with what is his (the mount option user_subvol_rm_allowed
/// isn't needed, since subvolumes are emptied before they are removed); privilege is needed for what Copy says.
///
/// Stateless; any number of threads and processes, of which one flattens at a time. A crash leaves a subvolume "making"
/// in plan.kept or plan.work, which the next mount removes. What is kept of a layer goes with the layer.
class STRATA_API Btrfs {
 public:
  static constexpr std::string_view name = "btrfs";
  static constexpr bool whole = true;
  static constexpr bool keeps = true;

  /// Whether the kernel knows btrfs; whether the store is on one, the plan says.
  MountProbe probe() const;
  /// As Copy.
  bool reads(UnionForm form) const;
  /// errc::unsupported where plan.work or plan.kept isn't on btrfs.
  MountResult mount(const MountPlan& plan) const;
  void unmount(std::string_view target) const;
};

static_assert(MountBackend<Btrfs>);

}  // namespace strata
