#include <strata/error.hpp>
#include <strata/mount/btrfs.hpp>

#include "mount/flatten.hpp"
#include "mount/host.hpp"
#include "mount/sys_mount.hpp"
#include "mount/unmount.hpp"
#include "mount/whole.hpp"
#include "tree/directory.hpp"
#include "tree/lay_upon.hpp"

#include <linux/btrfs.h>
#include <linux/magic.h>

#include <cstring>

namespace strata {
namespace {

using namespace detail;

/// A directory of a plan, or the nearest above it that is there.
bool is_on_btrfs(boost::filesystem::path place) {
  while (!place.empty() && !try_stat(AT_FDCWD, place.native())) place = place.parent_path();
  struct statfs st {};
  return sys::fstatfs(open_directory(place.empty() ? "." : place).get(), st) == 0 &&
         static_cast<unsigned long>(st.f_type) == BTRFS_SUPER_MAGIC;
}

void check_place(const boost::filesystem::path& place) {
  if (!is_on_btrfs(place))
    throw_error(errc::unsupported, "mount", "by btrfs", quoted(place.native()) + " is on another filesystem",
                "put the store on btrfs, or use another backend");
}

/// Names are the backend's own, and short.
template <std::size_t Size>
void set_name(char (&to)[Size], const std::string& name) {
  std::memcpy(to, name.c_str(), name.size() + 1);
}

void create_subvolume(int parent, const std::string& name) {
  btrfs_ioctl_vol_args arguments{};
  set_name(arguments.name, name);
  if (sys::once("btrfs_create", [&] { return ::ioctl(parent, BTRFS_IOC_SUBVOL_CREATE, &arguments); }) != 0)
    throw_errno(errno, "create the subvolume", quoted(name));
}

void snapshot(const boost::filesystem::path& of, int parent, const std::string& name) {
  const FileDescriptor source = open_directory(of);
  btrfs_ioctl_vol_args_v2 arguments{};
  arguments.fd = source.get();
  set_name(arguments.name, name);
  if (sys::once("btrfs_snapshot", [&] { return ::ioctl(parent, BTRFS_IOC_SNAP_CREATE_V2, &arguments); }) != 0)
    throw_errno(errno, "make a snapshot of", quoted(of.native()), {},
                errno == EPERM ? "an ordinary user may do that with what is his only" : "");
}

void make_subvolume(const Snapshots::Wanted& wanted, const std::function<void(int)>& fill) {
  if (wanted.below.empty())
    create_subvolume(wanted.parent, wanted.name);
  else
    snapshot(wanted.below, wanted.parent, wanted.name);
  const FileDescriptor made(sys::openat(wanted.parent, wanted.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!made) throw_errno(errno, "open", quoted(wanted.name));
  fill(made.get());
}

void discard_subvolume(int parent, const std::string& name) { remove_tree(parent, name); }

}  // namespace

MountProbe Btrfs::probe() const {
  MountProbe probe;
  const auto filesystems = read_text("/proc/filesystems");
  probe.usable = filesystems && filesystems->find("\tbtrfs\n") != std::string::npos;
  if (!probe.usable) probe.why = "this kernel has no btrfs: load its module (modprobe btrfs)";
  probe.features.emplace_back("layers at most", "any number");
  return probe;
}

bool Btrfs::reads(UnionForm form) const {
  return (form == UnionForm::overlay_trusted || form == UnionForm::overlay_user) && sees_marks(form);
}

MountResult Btrfs::mount(const MountPlan& plan) const {
  check_whole(plan, name);
  check_kept(plan);
  check_place(plan.work);
  check_place(plan.kept);
  std::string made = "a snapshot that was there";
  make_whole(plan, [&](int work, const std::string& directory) {
    // What this user can't give was reported when the layers were imported.
    Report report;
    bool altered = false;
    const ObjectSetter setter{Owners::squash, report, Conformance::compat, &altered};
    snapshot(flattened(plan, {make_subvolume, discard_subvolume}, setter), work, directory);
    const FileDescriptor root(sys::openat(work, directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!root) throw_errno(errno, "open", quoted((plan.work / directory).native()));
    for (std::size_t above = plan.lowers.size() - plan.chain.size(); above-- > 0;)
      lay_upon(plan.lowers[above], plan.form, root.get(), setter, plan.control);
    made = "a snapshot";
  });
  return {made + ", " + attach_whole(plan)};
}

void Btrfs::unmount(std::string_view target) const { unmount_at(std::string(target), name); }

}  // namespace strata
