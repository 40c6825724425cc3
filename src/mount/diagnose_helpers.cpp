#include "mount/diagnose_parts.hpp"
#include "mount/host.hpp"
#include "mount/sys_mount.hpp"

#include <strata/file_descriptor.hpp>

#include <cstdlib>
#include <string_view>

namespace strata::detail {
namespace {

struct Helper {
  const char* name;
  const char* without;
};
constexpr Helper programs[] = {
    {"newuidmap", "an ordinary user's namespace has one id only: install uidmap"},
    {"newgidmap", "an ordinary user's namespace has one group only: install uidmap"},
    {"fuse-overlayfs", "no overlay by FUSE: install fuse-overlayfs"},
    {"unionfs", "no union by unionfs-fuse: install unionfs-fuse"},
    {"fusermount3", "ordinary users can't mount by FUSE: install fuse3"},
    {"mkfs.erofs", "layers can't be made EROFS images: install erofs-utils"},
    {"dmsetup", "snapshots of device mapper can't be looked at by hand: install dmsetup"},
    {"mkfs.ext4", "no filesystems for snapshots of device mapper: install e2fsprogs"},
    {"mkfs.xfs", "no xfs for snapshots of device mapper: install xfsprogs"},
};
constexpr Helper devices[] = {
    {"/dev/fuse", "nothing can be mounted by FUSE: load its module (modprobe fuse), and let this user open it"},
    {"/dev/loop-control", "images can't be made devices: load the module loop, as root"},
    {"/dev/mapper/control", "no snapshots by device mapper: load the module dm_mod, as root"},
};
constexpr Helper filesystems[] = {
    {"fuse", "no mounts by FUSE"},
    {"erofs", "EROFS images can't be mounted: Linux 5.4 has it, as a module or built in"},
    {"btrfs", "no snapshots of subvolumes"},
    {"aufs", "no mounts by AUFS, which is a patch to the kernel that few distributions have"},
};

bool is_program(const std::string& path) {
  struct stat st {};
  return sys::fstatat(AT_FDCWD, path.c_str(), st, 0) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111);
}

/// Where a program is found: along PATH, or where root's are. Empty: nowhere.
std::string place_of(std::string_view name) {
  const char* const path = std::getenv("PATH");
  std::string_view places = path ? path : "";
  const auto in = [&](std::string_view place) { return std::string(place).append("/").append(name); };
  while (!places.empty()) {
    const std::string_view place = places.substr(0, places.find(':'));
    places.remove_prefix(std::min(place.size() + 1, places.size()));
    if (!place.empty() && is_program(in(place))) return in(place);
  }
  for (const char* place : {"/usr/sbin", "/sbin", "/usr/bin"})
    if (is_program(in(place))) return in(place);
  return {};
}

/// Whether the kernel has a filesystem now, or could load it.
std::string state_of(const std::string& filesystem) {
  const auto known = read_text("/proc/filesystems");
  if (known && known->find("\t" + filesystem + "\n") != std::string::npos) return "yes";
  const auto modules = read_text(("/lib/modules/" + kernel_release() + "/modules.dep").c_str());
  return modules && modules->find("/" + filesystem + ".ko") != std::string::npos ? "module, not loaded" : "no";
}

}  // namespace

void diagnose_helpers(std::vector<Finding>& findings) {
  Topic topic(findings, "helpers");
  for (const auto& [name, without] : programs) {
    const std::string place = place_of(name);
    place.empty() ? topic.limited(name, "not found", without) : topic.good(name, place);
  }
  for (const auto& [name, without] : devices) {
    const FileDescriptor device(sys::openat(AT_FDCWD, name, O_RDWR));
    const std::string error = device ? "" : boost::system::system_category().message(errno);
    device ? topic.good(name, "can be opened") : topic.limited(name, error, without);
  }
  for (const auto& [name, without] : filesystems) {
    const std::string state = state_of(name);
    state == "yes" ? topic.good(std::string("filesystem ") + name, state)
    : state == "no"
        ? topic.limited(std::string("filesystem ") + name, state, without)
        : topic.limited(std::string("filesystem ") + name, state, std::string("load it as root: modprobe ") + name);
  }
}

}  // namespace strata::detail
