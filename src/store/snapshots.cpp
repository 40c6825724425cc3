#include "store/snapshots.hpp"

#include "tree/directory.hpp"

namespace strata::detail {

void take_snapshots(const StoreCore& core, const Draft& draft, const Digest& layer) {
  const FileDescriptor backends = try_open_beneath(core.root_descriptor(), "snapshots", O_RDONLY | O_DIRECTORY);
  if (!backends) return;
  for (const DirectoryEntry& backend : list_directory(backends.get()))
    draft.take("snapshots/" + backend.name + "/" + std::string(layer.algorithm()) + "/" + layer.hex(),
               "snapshot." + backend.name + "." + layer.hex());
}

}  // namespace strata::detail
