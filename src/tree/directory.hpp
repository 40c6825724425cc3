// Safe access to files beneath a directory descriptor: nothing here ever follows a symlink or leaves the directory,
// whatever another process does to it meanwhile. Uses openat2 (Linux 5.6), and walks component by component where the
// kernel lacks it (or STRATA_NO_OPENAT2 is set in the environment, for tests).
#pragma once

#include <strata/file_descriptor.hpp>
#include <strata/tar.hpp>

#include "sys.hpp"

#include <boost/filesystem/path.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// What stat says, in strata's terms.
struct Metadata {
  mode_t mode = 0;  ///< with the type
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint64_t size = 0;
  std::uint64_t blocks = 0;  ///< of 512 bytes
  Timestamp mtime;
  Timestamp ctime;
  dev_t rdev = 0;
  dev_t device = 0;
  ino_t inode = 0;
  nlink_t links = 1;

  bool is_directory() const { return S_ISDIR(mode); }
  bool is_file() const { return S_ISREG(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
  /// A character device 0:0: the on-disk whiteout of overlayfs.
  bool is_whiteout() const { return S_ISCHR(mode) && rdev == 0; }
};
Metadata metadata_of(const struct stat& st);

/// A path to a name in a directory, for calls that have no form that takes the directory: through /proc, whose link
/// leads to the very directory. "" and "." stand for that itself: the l-calls don't follow its link.
std::string proc_path(int dir, const std::string& name);

/// Opens `path` (relative, of any length, no "..", "" or "." for `dir` itself) beneath `dir`; `flags` without O_CREAT.
/// No component may be a symlink (the last may, with O_PATH | O_NOFOLLOW). An empty descriptor where a component
/// doesn't exist, or none of that name could (ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG); other failures throw Error that
/// shows `shown`/path.
FileDescriptor try_open_beneath(int dir, std::string_view path, int flags, std::string_view shown = {});
/// The same, but absence throws.
FileDescriptor open_beneath(int dir, std::string_view path, int flags, std::string_view shown = {});
/// Opens a directory by a path of the caller's own choice (symlinks in it are followed). Throws Error.
FileDescriptor open_directory(const boost::filesystem::path& path);

/// Opens a regular file to read it, not to be followed, nor its time of access changed where that can be had; none: it
/// can't be opened, errno says why. What else is there is opened too, but not waited for.
FileDescriptor try_open_file(int dir, const char* name);

struct DirectoryEntry {
  std::string name;
  unsigned char type;  ///< DT_*; DT_UNKNOWN where the filesystem doesn't say
  ino_t inode;
};
/// All names in a directory (opened for reading) but "." and "..", sorted by bytes. Moves its offset.
std::vector<DirectoryEntry> list_directory(int dir, std::string_view shown = {});

/// stat of an entry of a directory, its last component not followed; nullopt where it isn't there.
std::optional<Metadata> try_stat(int dir, const char* name, std::string_view shown = {});
inline std::optional<Metadata> try_stat(int dir, const std::string& name, std::string_view shown = {}) {
  return try_stat(dir, name.c_str(), shown);
}
Metadata stat_of(int fd, std::string_view shown = {});

std::string read_link(int dir, const std::string& name, std::string_view shown = {});

/// Extended attributes of an entry `name` of `dir` (or of `dir` itself: name empty), never followed, overlay's own
/// included. Filesystems without them have none.
Xattrs read_xattrs(int dir, const std::string& name, std::string_view shown = {});
/// The names of them, in the kernel's order.
std::vector<std::string> list_xattrs(int dir, const std::string& name, std::string_view shown = {});
/// One of them; nullopt where it isn't there.
std::optional<std::string> read_xattr(int dir, const std::string& name, const std::string& attribute,
                                      std::string_view shown = {});
/// "trusted.overlay.*" and "user.overlay.*": the union's own marks, never a file's attribute.
bool is_overlay_xattr(std::string_view attribute);

/// Deletes `name` in `dir` and all beneath it, however deep, without following anything. Absence is success. Not for a
/// tree that others change meanwhile (it may then throw errc::in_use half way).
void remove_tree(int dir, const std::string& name, std::string_view shown = {});

/// "DIR/NAME" for messages.
std::string shown_path(std::string_view directory, std::string_view name);

}  // namespace strata::detail
