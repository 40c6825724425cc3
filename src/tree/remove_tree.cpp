// Deleting a tree. It may be as deep as a hostile archive made it, so this neither recurses nor holds a descriptor for
// each level: it climbs back through "..", and checks by its inode that this is where it came from. A number comes
// again only once its directory is gone; who could move what is being deleted from a directory, remove that, and make
// another of the same number hold it, could as well have moved that other's contents here.
#include <strata/error.hpp>

#include "tree/directory.hpp"
#include "tree/sys_directory.hpp"

namespace strata::detail {
namespace {

struct Level {
  dev_t device;
  ino_t inode;
  std::string name;                  ///< in the level above
  std::vector<std::string> pending;  ///< directories still to delete
};

[[noreturn]] void fail(int error, std::string_view shown) { throw_errno(error, "remove", quoted(shown)); }

/// Opens a directory that is about to go; one that its own mode shuts against its owner is opened up first. Takes one
/// descriptor where it can: what is given up for want of descriptors comes here too.
FileDescriptor open_to_empty(int dir, const std::string& name, std::string_view shown) {
  FileDescriptor opened(sys::openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (opened) {
    struct stat st {};
    if (sys::fstat(opened.get(), st) != 0) fail(errno, shown);
    if ((st.st_mode & 0700) != 0700 && sys::fchmod(opened.get(), 0700) != 0) fail(errno, shown);
    return opened;
  }
  if (errno != EACCES) return {};
  const FileDescriptor place(sys::openat(dir, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW));
  if (!place) return {};
  const std::string path = "/proc/self/fd/" + std::to_string(place.get());
  if (sys::chmod(path.c_str(), 0700) != 0) fail(errno, shown);
  return FileDescriptor(sys::openat(place.get(), ".", O_RDONLY | O_DIRECTORY));
}

/// Deletes what is no directory; returns the directories.
std::vector<std::string> remove_files(int dir, std::string_view shown) {
  std::vector<std::string> directories;
  for (DirectoryEntry& entry : list_directory(dir, shown)) {
    if (entry.type != DT_DIR) {
      if (sys::unlinkat(dir, entry.name.c_str(), 0) == 0 || errno == ENOENT) continue;
      if (errno != EISDIR) fail(errno, shown_path(shown, entry.name));
    }
    directories.push_back(std::move(entry.name));
  }
  return directories;
}

Level enter(int dir, std::string name, std::string_view shown) {
  const Metadata metadata = stat_of(dir, shown);
  return {metadata.device, metadata.inode, std::move(name), remove_files(dir, shown)};
}

}  // namespace

void remove_tree(int dir, const std::string& name, std::string_view shown) {
  const std::string top = shown_path(shown, name);
  if (sys::unlinkat(dir, name.c_str(), 0) == 0 || errno == ENOENT) return;
  if (errno != EISDIR) fail(errno, top);

  FileDescriptor here = open_to_empty(dir, name, top);
  if (!here) fail(errno, top);
  std::vector<Level> levels;
  levels.push_back(enter(here.get(), name, top));
  for (;;) {
    Level& level = levels.back();
    if (!level.pending.empty()) {
      std::string next = std::move(level.pending.back());
      level.pending.pop_back();
      FileDescriptor below = open_to_empty(here.get(), next, top);
      if (!below) fail(errno, top);
      here = std::move(below);
      levels.push_back(enter(here.get(), std::move(next), top));
      continue;
    }
    const std::string emptied = std::move(level.name);
    levels.pop_back();
    if (levels.empty()) break;
    FileDescriptor above(sys::openat(here.get(), "..", O_RDONLY | O_DIRECTORY));
    if (!above) fail(errno, top);
    const Metadata found = stat_of(above.get(), top);
    if (found.device != levels.back().device || found.inode != levels.back().inode)
      throw_error(errc::in_use, "remove", quoted(top), "another process moves directories in it");
    here = std::move(above);
    if (sys::unlinkat(here.get(), emptied.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) fail(errno, top);
  }
  if (sys::unlinkat(dir, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) fail(errno, top);
}

}  // namespace strata::detail
