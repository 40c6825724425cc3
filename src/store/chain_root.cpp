#include "store/chain_root.hpp"

#include <strata/error.hpp>

#include "tree/directory.hpp"

namespace strata::detail {

RootAttributes chain_root(const StoreCore& core, const Layer& layer) {
  RootAttributes root;
  const auto source = core.root_attributes(layer);
  if (!source) {
    root.metadata.mode = S_IFDIR | 0755;
    // An ordinary user has nothing but his own ids to give.
    if (::geteuid() != 0) root.metadata.uid = ::geteuid(), root.metadata.gid = ::getegid();
    root.any_time = true;
    return root;
  }
  const FileDescriptor dir = open_directory(*source);
  root.metadata = stat_of(dir.get(), source->native());
  root.xattrs = read_xattrs(dir.get(), "", source->native());
  std::erase_if(root.xattrs, [](const auto& xattr) { return is_overlay_xattr(xattr.first); });
  return root;
}

}  // namespace strata::detail
