#include "mount/overlay_causes.hpp"

#include <strata/error.hpp>
#include <strata/file_descriptor.hpp>

#include "mount/host.hpp"
#include "mount/sys_mount.hpp"

#include <linux/magic.h>

#include <boost/filesystem/operations.hpp>

#include <algorithm>
#include <string_view>

namespace strata::detail {
namespace {

using boost::filesystem::path;

std::uint64_t mount_id(const path& name) {
  struct statx st {};
  return sys::statx(AT_FDCWD, name.c_str(), AT_STATX_DONT_SYNC, STATX_MNT_ID, st) == 0 ? st.stx_mnt_id : 0;
}

unsigned long filesystem_type(const path& name) {
  const FileDescriptor fd(sys::openat(AT_FDCWD, name.c_str(), O_PATH));
  struct statfs st {};
  return fd && sys::fstatfs(fd.get(), st) == 0 ? static_cast<unsigned long>(st.f_type) : 0;
}

// What can be seen without the kernel's words.
bool always(const MountPlan&) { return true; }
bool no_permission(const MountPlan&) { return !can_mount(); }
bool in_user_namespace(const MountPlan&) { return !in_initial_user_namespace(); }
bool upper_is_overlay(const MountPlan& plan) { return filesystem_type(plan.upper) == OVERLAYFS_SUPER_MAGIC; }
bool upper_is_fuse(const MountPlan& plan) { return filesystem_type(plan.upper) == FUSE_SUPER_MAGIC; }
bool upper_is_read_only(const MountPlan& plan) {
  const FileDescriptor fd(sys::openat(AT_FDCWD, plan.upper.c_str(), O_PATH));
  struct statfs st {};
  return fd && sys::fstatfs(fd.get(), st) == 0 && (st.f_flags & ST_RDONLY);
}
bool work_is_elsewhere(const MountPlan& plan) {
  return !plan.upper.empty() && mount_id(plan.upper) != mount_id(plan.work);
}
bool was_volatile(const MountPlan& plan) {
  struct stat st {};
  return !plan.work.empty() &&
         sys::fstatat(AT_FDCWD, (plan.work / "work/incompat/volatile").c_str(), st, AT_SYMLINK_NOFOLLOW) == 0;
}
bool work_is_full(const MountPlan& plan) {
  const FileDescriptor fd(sys::openat(AT_FDCWD, plan.work.c_str(), O_PATH));
  struct statfs st {};
  return fd && sys::fstatfs(fd.get(), st) == 0 && (st.f_bavail == 0 || (st.f_files != 0 && st.f_ffree == 0));
}
bool work_has_leftovers(const MountPlan& plan) {
  boost::system::error_code unseen;
  return !boost::filesystem::is_empty(plan.work / "work", unseen) && !unseen;
}
bool lower_is_stacked(const MountPlan& plan) {
  return std::any_of(plan.lowers.begin(), plan.lowers.end(), [](const path& lower) {
    const auto type = filesystem_type(lower);
    return type == OVERLAYFS_SUPER_MAGIC || type == PROC_SUPER_MAGIC;
  });
}

/// The directory itself, whatever it is called; empty where it can't be found.
path real(const path& name) {
  boost::system::error_code ignored;
  return boost::filesystem::canonical(name, ignored);
}
bool is_inside(const path& inner, const path& outer) {
  const path a = real(inner), b = real(outer);
  return !a.empty() && !b.empty() && std::mismatch(b.begin(), b.end(), a.begin(), a.end()).first == b.end();
}
bool upper_and_work_overlap(const MountPlan& plan) {
  return !plan.upper.empty() && (is_inside(plan.upper, plan.work) || is_inside(plan.work, plan.upper));
}

/// One known cause. It fits where the errno is `number` and the kernel's words hold `words`; where the
/// kernel's words can't be read, where `seen` says so.
struct Cause {
  int number;
  std::string_view words;
  bool (*seen)(const MountPlan&);
  const char* detail;
  const char* remedy;
};

constexpr const char* separate_layers = "make the layers, the upper and the work directory separate directories";
constexpr const char* other_upper =
    "put the upper and the work directory on ext4, xfs, btrfs or tmpfs (a store inside a container: on a volume)";

constexpr Cause causes[] = {
    {EPERM, "", no_permission, "this process has no CAP_SYS_ADMIN over its mount namespace",
     "run it as root, or in a user and mount namespace of its own: unshare -Urm"},
    {EPERM, "", in_user_namespace, "a user namespace can't have redirect_dir, metacopy or verity without userxattr",
     "leave these options out, or mount as root"},
    {ENODEV, "", always, "this kernel has no overlay filesystem", "load its module: modprobe overlay"},
    {EINVAL, "reside under the same mount", work_is_elsewhere,
     "the work directory is not on the same mount as the upper", "put both on one filesystem, under one mount"},
    {EINVAL, "must be separate subtrees", upper_and_work_overlap,
     "the upper and the work directory are one inside the other", separate_layers},
    {EINVAL, "incompat feature 'volatile'", was_volatile,
     "the upper was last mounted volatile, so that a crash may have spoilt it",
     "if the machine didn't crash since, delete work/incompat in the work directory, else the container"},
    {EINVAL, "not supported as upperdir", upper_is_overlay, "the upper is on a filesystem that can't hold one",
     other_upper},
    {EINVAL, "is read-only", upper_is_read_only, "the upper is on a read-only filesystem",
     "make it writable, or mount read-only"},
    {EINVAL, "upper fs is r/o", upper_is_read_only, "the upper is on a read-only filesystem",
     "make it writable, or mount read-only"},
    {EINVAL, "upper fs", upper_is_fuse, "the upper's filesystem lacks what overlay needs", other_upper},
    {EINVAL, "stacking depth exceeded", lower_is_stacked,
     "the layers are themselves on an overlay that is on an overlay, or on a filesystem such as /proc",
     "put the layers on a filesystem of their own"},
    {EINVAL, "data-only", nullptr, "this kernel has data-only lowers only together with metacopy",
     "set the option metacopy=on"},
    {EINVAL, "too many lower directories", nullptr, "there are too many layers",
     "merge some: at most 500 go in one mount"},
    {EINVAL, "Unknown parameter", nullptr, "this kernel doesn't know an option", "leave it out"},
    {EINVAL, "unrecognized mount option", nullptr, "this kernel doesn't know an option", "leave it out"},
    {EINVAL, "Bad value", nullptr, "this kernel doesn't know a value of an option", "leave it out"},
    {EINVAL, "conflicting options", nullptr, "this kernel doesn't take these options together",
     "leave one of them out"},
    {ELOOP, "", always, "a layer, the upper or the work directory is there twice, or one is inside another",
     separate_layers},
    {ESTALE, "", always, "the upper was made, with an index, on other layers than these",
     "give it the layers that it had, or a new upper"},
    {EBUSY, "", always, "the upper or the work directory belongs to another mount", "unmount that first"},
    {EROFS, "", work_is_full, "the work directory's filesystem is full, of data or of inodes",
     "make room there, or put the upper and the work directory on another filesystem"},
    {EROFS, "", work_has_leftovers, "the kernel couldn't delete what is left in the work directory",
     "delete what is in its directory work"},
    {EROFS, "failed to create directory", nullptr,
     "the kernel couldn't prepare the work directory, so it can't be written",
     "look for a full filesystem, missing permission, or leftovers in the work directory"},
    {EROFS, "", always, "the kernel made it read-only although it was to be writable",
     "look whether the work directory's filesystem is full or its owner not mapped here, and empty it; the kernel's "
     "log "
     "(dmesg) says more"},
};

}  // namespace

std::string subject_of(const MountPlan& plan) {
  return plan.target.empty() ? "a detached overlay" : "overlay on " + quoted(plan.target.native());
}

void throw_overlay_error(int number, const MountPlan& plan, const std::string& said) {
  const auto fits = [&](const Cause& cause) {
    if (cause.number != number) return false;
    if (cause.words.empty() || said.empty()) return cause.seen && cause.seen(plan);
    return said.find(cause.words) != std::string::npos;
  };
  // The log is the whole machine's: what can be seen of this mount as well comes before what may be said of another.
  const auto* cause = std::find_if(std::begin(causes), std::end(causes),
                                   [&](const Cause& one) { return fits(one) && (!one.seen || one.seen(plan)); });
  if (cause == std::end(causes)) cause = std::find_if(std::begin(causes), std::end(causes), fits);
  const bool known = cause != std::end(causes);
  std::string detail = known ? cause->detail : "";
  if (!said.empty())
    detail += (known ? "; the kernel says: " : "the kernel says: ") + quoted(said);
  else if (!known)
    detail = "the kernel didn't say why";
  std::string remedy = known ? cause->remedy : said.empty() ? "its log (dmesg) may say more" : "";
  throw_errno(number, "mount", subject_of(plan), std::move(detail), std::move(remedy));
}

}  // namespace strata::detail
