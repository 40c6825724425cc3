#include "mount/id_mapped.hpp"

#include <strata/error.hpp>

#include "mount/sys_mount.hpp"

#include <string>

namespace strata::detail {
namespace {

/// A process that stands for a user namespace while it is being made.
class Standing {
 public:
  Standing() {
    int ends[2];
    if (sys::pipe2(ends) != 0) throw_errno(errno, "make", "a pipe");
    wait_for_ = FileDescriptor(ends[0]);
    held_ = FileDescriptor(ends[1]);
    process_ = sys::clone_into_user_namespace(ends[0], ends[1]);
    if (process_ >= 0) return;
    throw_errno(errno, "make", "a user namespace for the layers' id map", {},
                errno == ENOSPC ? "allow more of them: sysctl user.max_user_namespaces" : "");
  }
  Standing(const Standing&) = delete;
  Standing& operator=(const Standing&) = delete;
  ~Standing() { sys::kill_clone(process_); }

  std::string file(const char* name) const { return "/proc/" + std::to_string(process_) + "/" + name; }

 private:
  FileDescriptor wait_for_, held_;
  pid_t process_ = -1;
};

/// The lines of a uid_map. Without ranges each id is itself.
std::string lines_of(const IdRanges& ids) {
  if (ids.empty()) return "0 0 4294967295\n";
  std::string lines;
  for (const IdRange& range : ids.ranges())
    lines +=
        std::to_string(range.container) + " " + std::to_string(range.host) + " " + std::to_string(range.count) + "\n";
  return lines;
}

void write_map(const std::string& file, const IdRanges& ids) {
  const std::string lines = lines_of(ids);
  const FileDescriptor map(sys::openat(AT_FDCWD, file.c_str(), O_WRONLY));
  // The kernel takes it in one piece.
  const ssize_t written = map ? sys::write(map.get(), lines.data(), lines.size()) : -1;
  if (written != static_cast<ssize_t>(lines.size()))
    throw_errno(written < 0 ? errno : EINVAL, "set", "the id map of the layers",
                "it takes at most 340 ranges and one page, of ids that this process may give away",
                "work as root, or with ranges of ids that this user namespace has");
}

}  // namespace

IdMapper::IdMapper(const IdMap& ids) {
  if (ids.empty()) return;
  const Standing process;
  write_map(process.file("uid_map"), ids.uids);
  write_map(process.file("gid_map"), ids.gids);
  namespace_ = FileDescriptor(sys::openat(AT_FDCWD, process.file("ns/user").c_str(), O_RDONLY));
  if (!namespace_) throw_errno(errno, "open", "the user namespace of the layers' id map");
}

FileDescriptor IdMapper::map(int layer, std::string_view shown) const {
  FileDescriptor mount(sys::open_tree_clone(layer));
  if (!mount) throw_errno(errno, "copy", "the mount of layer " + quoted(shown));
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(namespace_.get());
  if (sys::mount_setattr(mount.get(), attributes) == 0) return mount;
  const int number = errno;
  throw_errno(
      number, "map the ids of", "layer " + quoted(shown),
      number == EINVAL  ? "its filesystem can't have them mapped"
      : number == EPERM ? "its filesystem was mounted in another user namespace, or has its ids mapped already"
                        : "",
      "keep the layers on ext4, xfs, btrfs or tmpfs, and mount as root; or map the ids when layers are applied");
}

}  // namespace strata::detail
