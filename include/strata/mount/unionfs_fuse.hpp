// The mount backend over unionfs-fuse, a program that serves a union through FUSE.
#pragma once

#include <strata/concepts.hpp>
#include <strata/export.hpp>
#include <strata/mount_plan.hpp>

#include <cstddef>
#include <string_view>

namespace strata {

/// unionfs-fuse (seen with 1.0; Debian's package of that name, whose program is `unionfs`). It reads and writes
/// deletions in a form of its own, so that a store's trees are translated for it, once each.
///
/// What it can't do: it shows no extended attributes, so that capabilities and ACLs are lost in what is copied up, and
/// gives what it copies up whole seconds of time. Needs CAP_SYS_ADMIN in the mount namespace's user namespace, and
/// /dev/fuse. Its program runs in the background until the mount goes; if it dies, MountedRoot::works() says so.
/// Stateless; any number of threads.
class STRATA_API UnionfsFuse {
 public:
  static constexpr std::string_view name = "unionfs-fuse";
  static constexpr std::size_t max_layers = 500;

  /// Looks for the program and for /dev/fuse.
  MountProbe probe() const;
  /// UnionForm::unionfs_fuse.
  bool reads(UnionForm form) const;
  UnionForm writes(UnionForm) const { return UnionForm::unionfs_fuse; }
  /// Options of overlay are refused (errc::refused).
  MountResult mount(const MountPlan& plan) const;
  void unmount(std::string_view target) const;
};

static_assert(MountBackend<UnionfsFuse>);

}  // namespace strata
