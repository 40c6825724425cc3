// AnyMounter: a Mounter whose backend is chosen when it runs.
#pragma once

#include <strata/export.hpp>
#include <strata/mounter.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

/// What was found of a backend when one was to be chosen.
struct BackendChoice {
  std::string name;
  bool usable = false;
  std::string why;  ///< where it isn't: why, and what would help
};

/// Mounts new containers by one backend, and known ones by that which made them. Thread safe, as Mounter is.
class STRATA_API AnyMounter {
 public:
  /// Names of all backends, best first: "overlay", "fuse-overlayfs", "btrfs", "copy"; and, for
  /// who names them, "erofs", "unionfs-fuse", "aufs", and "devicemapper" with a pool on files of the default sizes.
  static std::vector<std::string> names();
  /// Each backend, best first, and whether it can mount the layers of this store, here and now.
  static std::vector<BackendChoice> choices(const LayerStoreBase& store);

  /// `backend`: a name, or empty for the best that is usable: "copy" needs nothing, but that this process sees the
  /// marks in the store's layers (one made by root can't be used in a user namespace). Throws errc::bad_argument for a
  /// name that is none, and errc::unsupported, with why, for one that isn't usable. Where none is, mount() of a new
  /// container throws so.
  explicit AnyMounter(const LayerStoreBase& store, std::string_view backend = {});
  AnyMounter(AnyMounter&&) noexcept;
  AnyMounter& operator=(AnyMounter&&) noexcept;
  ~AnyMounter();

  /// What new containers are made by; empty: nothing works here.
  const std::string& backend() const noexcept;
  /// Those that were passed over for it, and why. Empty where it was named.
  const std::vector<BackendChoice>& passed_over() const noexcept;

  /// As of Mounter; a known container keeps its backend.
  MountedRoot mount(const Digest& layer, std::string_view name, const MountOptions& options = {}) const;
  void unmount(std::string_view name) const;
  std::vector<ContainerState> list() const;
  void remove(std::string_view name) const;
  std::vector<std::string> clean() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata
