#include "store/snapshots.hpp"

#include "tree/directory.hpp"

#include <set>

namespace strata::detail {

std::vector<Digest> layers_with_snapshots(const StoreCore& core) {
  std::set<Digest> found;
  const FileDescriptor backends = try_open_beneath(core.root_descriptor(), "snapshots", O_RDONLY | O_DIRECTORY);
  if (!backends) return {};
  const std::string algorithm(core.hash().name);
  for (const DirectoryEntry& backend : list_directory(backends.get())) {
    const FileDescriptor room =
        try_open_beneath(backends.get(), backend.name + "/" + algorithm, O_RDONLY | O_DIRECTORY);
    if (!room) continue;
    for (const DirectoryEntry& entry : list_directory(room.get()))
      if (const auto layer = Digest::try_parse(algorithm + ":" + entry.name)) found.insert(*layer);
  }
  return {found.begin(), found.end()};
}

void take_snapshots(const StoreCore& core, const Draft& draft, const Digest& layer) {
  const FileDescriptor backends = try_open_beneath(core.root_descriptor(), "snapshots", O_RDONLY | O_DIRECTORY);
  if (!backends) return;
  for (const DirectoryEntry& backend : list_directory(backends.get()))
    draft.take("snapshots/" + backend.name + "/" + std::string(layer.algorithm()) + "/" + layer.hex(),
               "snapshot." + backend.name + "." + layer.hex());
}

}  // namespace strata::detail
