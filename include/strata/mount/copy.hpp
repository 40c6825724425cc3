// The mount backend that copies: no union, no privilege, any filesystem.
#pragma once

#include <strata/concepts.hpp>
#include <strata/export.hpp>
#include <strata/mount_plan.hpp>

#include <string_view>

namespace strata {

/// Makes plan.upper a copy of all that the lowers show. Files share their blocks with the lowers' where the filesystem
/// can do that (btrfs; xfs with reflink): then a container takes as long as its files are many, and room for what is
/// changed only; elsewhere they are copied. Whoever may write the directories may do so, without any privilege: a plan
/// whose target is its upper mounts nothing. Elsewhere it is mounted by a bind mount, which needs CAP_SYS_ADMIN in the
/// mount namespace's user namespace, and so does a read-only one. An ordinary user's copy has what he may give: as his
/// store's layers.
///
/// Stateless; any number of threads. A crash leaves plan.work with a part of the copy, which the next mount removes.
class STRATA_API Copy {
 public:
  static constexpr std::string_view name = "copy";
  static constexpr bool whole = true;

  /// Usable. Whether blocks are shared is the filesystem's matter: MountResult says.
  MountProbe probe() const;
  /// Both of the kernel overlay's; overlay_trusted only where this process sees such marks: with CAP_SYS_ADMIN, and
  /// outside of user namespaces.
  bool reads(UnionForm form) const;
  /// Options of overlay are refused (errc::refused).
  MountResult mount(const MountPlan& plan) const;
  void unmount(std::string_view target) const;
};

static_assert(MountBackend<Copy>);

}  // namespace strata
