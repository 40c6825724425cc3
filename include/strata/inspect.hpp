// What is mounted, on which layers, and what containers take: the structured answer behind `layerctl inspect`.
#pragma once

#include <strata/container.hpp>
#include <strata/export.hpp>
#include <strata/mount_plan.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace strata {

class LayerStoreBase;

/// An overlay of this machine, whoever mounted it. Directories are as the kernel shows them: a name that was given
/// relative stays so, and in another mount namespace it counts from that one's root.
struct MountedOverlay {
  MountedEntry entry;
  std::vector<boost::filesystem::path> lowers;     ///< topmost first
  std::vector<boost::filesystem::path> data_only;  ///< topmost first
  boost::filesystem::path upper;                   ///< empty: it has none
  boost::filesystem::path work;
  std::string container;  ///< of the store that was asked about; empty: none of its
  bool here = true;       ///< in this process's mount namespace
  /// A process of each other mount namespace that has the same mount.
  std::vector<std::uint64_t> elsewhere;
};

/// What a container has of its own: its upper, or what a read-only one has in its place.
struct ContainerUse {
  Container container;
  std::uint64_t inodes = 0;
  std::uint64_t bytes = 0;  ///< blocks on the disk
  bool mounted = false;     ///< here, or elsewhere as far as it can be seen
  std::string problem;      ///< why it couldn't be counted; empty: it was
};

struct Inspection {
  std::vector<MountedOverlay> overlays;
  std::vector<ContainerUse> containers;  ///< by name; of a store only
  /// What couldn't be looked at, a clause each: "the mounts of 3 processes: Permission denied".
  std::vector<std::string> unread;
};

/// The overlays of this mount namespace, and of those of all processes that this one may look at. Throws Error where
/// its own mount table can't be read.
STRATA_API Inspection inspect();
/// The same, and the store's containers.
STRATA_API Inspection inspect(const LayerStoreBase& store);

}  // namespace strata
