// The container in which a step of a build is done.
#pragma once

#include <strata/layer_manager.hpp>
#include <strata/lease.hpp>

#include <optional>
#include <string>

namespace strata::detail {

/// Mounted as long as this lives; then it is unmounted and removed, whatever happened. A lease of the same name, which
/// ends with the process, tells others that it is in use.
class BuildContainer {
 public:
  BuildContainer(LayerStoreBase& store, const MounterPolicy& mounter, const Digest& layer, const MountOptions& options);
  ~BuildContainer();
  BuildContainer(const BuildContainer&) = delete;
  BuildContainer& operator=(const BuildContainer&) = delete;

  const MountedRoot& root() const { return *root_; }

  /// Removes those of builds whose process is gone. What is still busy stays for another time.
  static void sweep(LayerStoreBase& store, const MounterPolicy& mounter);

 private:
  const MounterPolicy& mounter_;
  Lease lease_;
  std::optional<MountedRoot> root_;
};

}  // namespace strata::detail
