// The mount backend over AUFS.
#pragma once

#include <strata/concepts.hpp>
#include <strata/export.hpp>
#include <strata/mount_plan.hpp>

#include <cstddef>
#include <string_view>

namespace strata {

/// AUFS, a union that is no part of Linux itself: for kernels that were built with it (seen: 6.1 with aufs
/// 6.1-20240701). It reads and writes deletions as layer tars do (".wh.NAME"), so that a store's trees are translated
/// for it, once each. Needs CAP_SYS_ADMIN. Branches are added one by one, since a single string of many has been seen
/// to panic that kernel.
///
/// What it can't do: paths of layers with ':', ',' or '=' (errc::unsupported); a directory that is in several branches
/// can't be renamed (EXDEV). Stateless; any number of threads.
class STRATA_API Aufs {
 public:
  static constexpr std::string_view name = "aufs";
  static constexpr std::size_t max_layers = 510;  ///< beside the upper; 511 branches were seen to be the most

  MountProbe probe() const;
  /// UnionForm::aufs.
  bool reads(UnionForm form) const;
  UnionForm writes(UnionForm) const { return UnionForm::aufs; }
  /// Options of overlay are refused (errc::refused).
  MountResult mount(const MountPlan& plan) const;
  void unmount(std::string_view target) const;
};

static_assert(MountBackend<Aufs>);

}  // namespace strata
