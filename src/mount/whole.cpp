#include "mount/whole.hpp"

#include <strata/error.hpp>

#include "mount/host.hpp"
#include "mount/simple_plan.hpp"
#include "mount/sys_mount.hpp"
#include "tree/attributes.hpp"
#include "tree/directory.hpp"

namespace strata::detail {
namespace {

constexpr const char* unfinished = "making";

std::string on(const MountPlan& plan) { return quoted(plan.upper.native()) + " on " + quoted(plan.target.native()); }

[[noreturn]] void throw_not_attached(const MountPlan& plan, int number) {
  throw_errno(number, "mount", on(plan), {},
              number == EPERM ? "a mount needs root, or a user and mount namespace (unshare -Urm); without a target of "
                                "its own, and writable, the directory can be used where it is"
                              : "");
}

/// Before Linux 5.12, and where a filter of system calls denies what is newer.
void attach_classic(const MountPlan& plan) {
  if (sys::mount(plan.upper.c_str(), plan.target.c_str(), nullptr, MS_BIND, nullptr) != 0)
    throw_not_attached(plan, errno);
  if (!plan.read_only) return;
  struct statvfs st {};
  // In a user namespace what the mount below forbids must stay forbidden; the flags have the same values in both.
  unsigned long flags = 0;
  if (::statvfs(plan.target.c_str(), &st) == 0)
    flags = st.f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME);
  if (sys::mount(nullptr, plan.target.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY | flags, nullptr) == 0) return;
  const int number = errno;
  sys::umount2(plan.target.c_str(), MNT_DETACH);
  throw_not_attached(plan, number);
}

}  // namespace

void check_whole(const MountPlan& plan, std::string_view backend) {
  check_simple(plan, backend);
  if (plan.upper.empty())
    throw_error(errc::refused, "mount", "this plan", "it has no upper, and " + std::string(backend) + " makes one",
                "give an upper and a work; read_only keeps them from being written");
}

void check_kept(const MountPlan& plan) {
  if (plan.chain.empty() || plan.kept.empty())
    throw_error(errc::refused, "mount", "this plan", "it names no chain, or no directory to keep snapshots in",
                "give both, or use the backend copy");
}

void put_made(int from, const std::string& made, int to, const std::string& name, std::string_view shown) {
  const auto put = [&] { return sys::renameat2(from, made.c_str(), to, name.c_str(), RENAME_NOREPLACE) == 0; };
  if (put()) return;
  const int number = errno;
  const std::optional<Metadata> metadata = number == EACCES ? try_stat(from, made) : std::nullopt;
  if (!metadata || !metadata->is_directory() || change_mode(from, made, 0700) != 0)
    throw_errno(number, "put in place", quoted(shown));
  if (!put()) throw_errno(errno, "put in place", quoted(shown));
  if (change_mode(to, name, metadata->mode & 07777) != 0) throw_errno(errno, "set the mode of", quoted(shown));
}

void make_whole(const MountPlan& plan, const std::function<void(int work, const std::string& name)>& make) {
  if (try_stat(AT_FDCWD, plan.upper.native())) return;
  const FileDescriptor work = open_directory(plan.work);
  const FileDescriptor place = open_directory(plan.upper.has_parent_path() ? plan.upper.parent_path() : ".");
  remove_tree(work.get(), unfinished);
  make(work.get(), unfinished);
  // Else a power cut could leave a complete directory with empty files.
  if (plan.durable && sys::syncfs(work.get()) != 0) throw_errno(errno, "sync", quoted(plan.work.native()));
  const std::string name = plan.upper.filename().native();
  put_made(work.get(), unfinished, place.get(), name, plan.upper.native());
  if (plan.durable && sys::fsync(place.get()) != 0) throw_errno(errno, "sync", quoted(plan.upper.native()));
}

std::string attach_whole(const MountPlan& plan) {
  if (plan.target == plan.upper) {
    if (plan.read_only)
      throw_error(errc::refused, "mount", on(plan), "a directory that is used where it is can be written",
                  "name another target");
    return "in place";
  }
  const FileDescriptor upper = open_directory(plan.upper);
  const FileDescriptor tree(sys::open_tree_clone(upper.get()));
  // A seccomp filter that doesn't know it says EPERM, or ENOSYS as kernels do that have none.
  if (!tree && errno != ENOSYS && (errno != EPERM || !can_mount())) throw_not_attached(plan, errno);
  mount_attr read_only{MOUNT_ATTR_RDONLY, 0, 0, 0};
  if (!tree || (plan.read_only && sys::mount_setattr(tree.get(), read_only) != 0)) {
    attach_classic(plan);
    return "mount(2)";
  }
  const FileDescriptor target(sys::openat(AT_FDCWD, plan.target.c_str(), O_PATH | O_DIRECTORY));
  if (!target) throw_errno(errno, "open", "mount point " + quoted(plan.target.native()));
  if (sys::move_mount(tree.get(), target.get()) != 0) throw_not_attached(plan, errno);
  return "bind mount";
}

}  // namespace strata::detail
