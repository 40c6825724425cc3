// Finding what changed, and telling it entry by entry in the order and form of a layer tar.
#pragma once

#include <strata/id_map.hpp>
#include <strata/progress.hpp>
#include <strata/report.hpp>
#include <strata/tar.hpp>

#include "tree/merged_view.hpp"

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace strata::detail {

/// Takes a layer, entry by entry: parents first, names sorted by bytes; in a directory first its opaque marker, then
/// its whiteouts. Paths are relative without "./", those of directories end in '/'; the root is "./". A file that has
/// several names comes at the first of them, and as hardlinks to it at the others.
class ChangeSink {
 public:
  virtual ~ChangeSink() = default;
  /// For a regular file, exactly entry.size bytes of content(), zeros() follow. A whiteout is an empty file by its name
  /// ("d/.wh.name"), of mode 0, owner 0:0 and time 0.
  virtual void add(const TarEntry& entry) = 0;
  virtual void content(std::span<const std::byte> bytes) = 0;
  /// A hole of the source.
  virtual void zeros(std::uint64_t size) = 0;
};

/// What the root directory of the lower view is to be compared as, where that isn't the attributes of its topmost
/// directory: a store's trees have a root each, listed in their tar or not.
struct RootAttributes {
  Metadata metadata;
  Xattrs xattrs;
  bool any_time = false;  ///< no tar has told a time for it: only mode, owner and xattrs count
};

struct ChangeOptions {
  std::optional<std::int64_t> latest_time;  ///< seconds since 1970; later times are told as this
  IdMap ids;                                ///< from those on the disk to those that are told
  std::optional<RootAttributes> lower_root;
  /// Of an upper: `index` in its work directory, where that is known and there. Without it, a lower hardlink that was
  /// changed under `index=on` through a name deleted since is told as it was below.
  std::optional<boost::filesystem::path> index;
  /// Of an upper: how many names a lower file, of several links, has outside of the lower view. Unset: none. Called by
  /// several threads.
  std::function<nlink_t(const MergedView&, const MergedView::Entry&)> names_elsewhere = {};
  bool trust_times = false;  ///< as in DiffOptions; between two trees
  /// The observer gets how many entries and, as `tar_bytes`, how many bytes of content were told.
  Control control;
};

/// The index of a work directory, for ChangeOptions; nullopt where the kernel made none.
std::optional<boost::filesystem::path> index_of(const boost::filesystem::path& work);

/// The changes that the topmost directory of `merged` makes to the rest of it, `lower` (merged.below()). The root is
/// told only where its attributes differ from those of lower's root, or there is no lower. The cost grows with the
/// topmost directory alone (but for hardlinks that `index=on` keeps together and for those into a renamed directory,
/// whose other names have to be looked for).
///
/// Left out: overlay's own attributes, those that look so included (reported, D5), security.selinux, sockets (reported,
/// D11). Throws Error with errc::refused for a name that a layer can't carry (D1) and an id that the map lacks (A24),
/// and for anything that can't be read, or changes size while it is (D13).
void changes_of_upper(const MergedView& merged, const MergedView& lower, ChangeSink& sink, const ChangeOptions& options,
                      Report& report);

/// What makes `newer` of `older`; both may be merged or plain. In a plain one a device 0:0 is left out as a socket is.
void changes_between(const MergedView& older, const MergedView& newer, ChangeSink& sink, const ChangeOptions& options,
                     Report& report);

}  // namespace strata::detail
