// The mount backend over the kernel's OverlayFS.
#pragma once

#include <strata/concepts.hpp>
#include <strata/export.hpp>
#include <strata/file_descriptor.hpp>
#include <strata/mount_plan.hpp>

#include <cstddef>
#include <string_view>

namespace strata {

/// Linux's overlay filesystem. Layers go in by descriptor (6.13), by name (6.7, names of at most 255 bytes), or through
/// mount(2) from a descriptor directory; up to 500. Needs CAP_SYS_ADMIN in the mount namespace's user namespace: root,
/// or any user in a user and mount namespace of its own (5.11). Stateless; any number of threads.
class STRATA_API KernelOverlay {
 public:
  static constexpr std::string_view name = "overlay";
  static constexpr std::size_t max_layers = 500;

  MountProbe probe() const;
  /// overlay_trusted only outside of user namespaces: inside one, trusted.* attributes can't be seen.
  bool reads(UnionForm form) const;
  /// Takes 2 to 500 layers, data-only ones counted, or one with an upper. Mounts, then checks that what is mounted is
  /// what was asked for: a read-write plan that the kernel made read-only (a work directory that it can't prepare) is
  /// unmounted and an error, and so is an option that the kernel left out. Errors carry the kernel's own message.
  MountResult mount(const MountPlan& plan) const;
  /// The same without a target: the mount, of which nothing but this descriptor knows. Whoever has it can work in it
  /// (openat and the like), hand it to another process, or attach it (move_mount); closed before that, it is gone.
  /// Needs the new mount API (Linux 5.2): errc::unsupported.
  FileDescriptor mount_detached(const MountPlan& plan) const;
  /// errc::in_use names the processes and mounts that keep it busy, as far as this process may see them.
  void unmount(std::string_view target) const;

  /// For tests and for kernels with quirks: leave out the methods before this one.
  enum class Method { descriptors, names, classic };
  Method first_method = Method::descriptors;
};

static_assert(MountBackend<KernelOverlay>);

}  // namespace strata
