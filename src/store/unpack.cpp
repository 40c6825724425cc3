#include <strata/error.hpp>

#include "store/chain_root.hpp"
#include "store/operations.hpp"
#include "tree/copy.hpp"

namespace strata::detail {

Report unpack_chain(const StoreCore& core, const Digest& id, const boost::filesystem::path& directory,
                    const UnpackOptions& options) {
  const Layer layer = core.get(id);
  if (sys::mkdirat(AT_FDCWD, directory.c_str(), 0700) != 0 && errno != EEXIST)
    throw_errno(errno, "create the directory", quoted(directory.native()));
  const FileDescriptor to = open_directory(directory);
  if (!list_directory(to.get(), directory.native()).empty())
    throw_errno(ENOTEMPTY, "unpack into", quoted(directory.native()), "", "name an empty or a new directory");
  const MergedView view(core.lowers(layer), MergedView::marks_of(core.form()));
  RootAttributes root = chain_root(core, layer);
  // What no layer has told is root's, and he may well be someone whom an ordinary user can give.
  if (root.any_time && !options.ids.empty()) root.metadata.uid = root.metadata.gid = 0;
  Report report;
  bool altered = false;
  copy_view(view, to.get(), attributes_of(root.metadata, std::move(root.xattrs)), options.ids,
            ObjectSetter{options.owners, report, Conformance::compat, &altered}, options.control);
  return report;
}

}  // namespace strata::detail
