#include "mount/backends.hpp"

#include <strata/error.hpp>
#include <strata/mount/aufs.hpp>
#include <strata/mount/btrfs.hpp>
#include <strata/mount/copy.hpp>
#include <strata/mount/device_mapper.hpp>
#include <strata/mount/erofs.hpp>
#include <strata/mount/fuse_overlayfs.hpp>
#include <strata/mount/kernel_overlay.hpp>
#include <strata/mount/unionfs_fuse.hpp>

#include "mount/sys_mount.hpp"

#include <linux/magic.h>

#include <algorithm>
#include <limits>
#include <string>

namespace strata::detail {
namespace {

template <MountBackend Backend>
constexpr std::size_t max_layers() {
  if constexpr (requires { Backend::max_layers; })
    return Backend::max_layers;
  else
    return std::numeric_limits<std::size_t>::max();
}

bool anywhere(int) { return true; }

bool is_on_btrfs(int directory) {
  struct statfs st {};
  return sys::fstatfs(directory, st) == 0 && static_cast<unsigned long>(st.f_type) == BTRFS_SUPER_MAGIC;
}

template <MountBackend Backend>
constexpr KnownBackend known(bool (*fits)(int) = anywhere, std::string_view unfit = {}) {
  return {Backend::name,
          max_layers<Backend>(),
          [] { return Backend().probe(); },
          [](UnionForm form) { return Backend().reads(form); },
          [] { return BackendPolicy::of(Backend()); },
          fits,
          unfit};
}

constexpr KnownBackend backends[] = {
    known<KernelOverlay>(), known<FuseOverlayfs>(), known<Btrfs>(is_on_btrfs, "the store isn't on btrfs"),
    known<Copy>(),          known<Erofs>(),         known<UnionfsFuse>(),
    known<Aufs>(),          known<DeviceMapper>(),
};

}  // namespace

std::span<const KnownBackend> known_backends() { return backends; }

const KnownBackend& backend_named(std::string_view name) {
  const auto* const found = std::find_if(std::begin(backends), std::end(backends),
                                         [&](const KnownBackend& backend) { return backend.name == name; });
  if (found != std::end(backends)) return *found;
  std::string names;
  for (const KnownBackend& backend : backends) names.append(names.empty() ? "" : ", ").append(backend.name);
  throw_error(errc::bad_argument, "use", "mount backend " + quoted(name), "there is none of this name",
              "the names are " + names);
}

}  // namespace strata::detail
