#include <strata/error.hpp>
#include <strata/mount/kernel_overlay.hpp>

#include "base/files.hpp"
#include "mount/diagnose_parts.hpp"
#include "mount/host.hpp"
#include "mount/sys_mount.hpp"
#include "tree/directory.hpp"

#include <dirent.h>
#include <linux/fs.h>
#include <boost/filesystem/operations.hpp>

#include <thread>

namespace strata::detail {
namespace {

using boost::filesystem::path;

constexpr std::uint64_t few_bytes = 1ULL << 30;
constexpr std::uint64_t few_inodes = 50000;  // a Debian root filesystem has 10,000 and more

/// A directory to try things in, deleted when it goes.
class Trial {
 public:
  explicit Trial(const path& parent) : parent_(open_directory(parent)), name_(".strata-trial-" + random_name()) {
    make_directory(parent_.get(), name_);
    place_ = parent / name_;
    fd_ = open_directory(place_);
  }
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;
  ~Trial() {
    try {
      remove_tree(parent_.get(), name_);
    } catch (const std::exception&) {
      // Nothing more can be done about it.
    }
  }
  int fd() const { return fd_.get(); }
  const path& place() const { return place_; }
  FileDescriptor create(const char* name) const {
    FileDescriptor file(sys::openat(fd(), name, O_RDWR | O_CREAT, 0600));
    if (!file) throw_errno(errno, "create", quoted((place_ / name).native()));
    return file;
  }

 private:
  FileDescriptor parent_;
  FileDescriptor fd_;
  std::string name_;
  path place_;
};

std::string type_of(const path& directory) {
  struct statx st {};
  if (sys::statx(AT_FDCWD, directory.c_str(), AT_STATX_DONT_SYNC, STATX_MNT_ID, st) == 0)
    for (const MountedEntry& entry : mount_table())
      if (entry.id == st.stx_mnt_id) return entry.type;
  return "unknown";
}

std::string in_units(std::uint64_t bytes) {
  const std::uint64_t mebi = bytes >> 20;
  return mebi < 10240 ? std::to_string(mebi) + " MiB" : std::to_string(mebi >> 10) + " GiB";
}

void diagnose_space(Topic& topic, int fd) {
  struct statfs st {};
  if (sys::fstatfs(fd, st) != 0) return;
  const std::uint64_t bytes = static_cast<std::uint64_t>(st.f_bavail) * static_cast<std::uint64_t>(st.f_bsize);
  bytes >= few_bytes ? topic.good("free space", in_units(bytes))
                     : topic.limited("free space", in_units(bytes), "images will not fit: make room");
  if (st.f_files == 0) return;  // made as needed (btrfs)
  const std::string inodes = std::to_string(st.f_ffree);
  st.f_ffree >= few_inodes ? topic.good("free inodes", inodes)
                           : topic.limited("free inodes", inodes,
                                           "large images will not fit: delete small files, or use another filesystem");
}

bool tells_types(int dir) {
  for (const DirectoryEntry& entry : list_directory(dir))
    if (entry.type == DT_UNKNOWN) return false;
  return true;
}

/// Mounts an overlay with its upper in the trial directory, changes something, and unmounts: in a mount namespace of a
/// thread, which goes with it. Empty: it works; else why it doesn't.
std::string try_overlay(const Trial& trial, UnionForm form) {
  for (const char* name : {"lower1", "lower2", "upper", "work", "merged"}) make_directory(trial.fd(), name);
  write_small_file(trial.fd(), "lower2/file", "");
  std::string failure;
  std::thread([&] {
    try {
      if (sys::unshare(CLONE_NEWNS) != 0) throw_errno(errno, "make", "a mount namespace");
      if (sys::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        throw_errno(errno, "make private", "the mounts of a namespace");
      MountPlan plan;
      plan.lowers = {trial.place() / "lower1", trial.place() / "lower2"};
      plan.upper = trial.place() / "upper";
      plan.work = trial.place() / "work";
      plan.target = trial.place() / "merged";
      plan.form = form;
      const KernelOverlay backend;
      backend.mount(plan);
      const bool deleted = sys::unlinkat(AT_FDCWD, (plan.target / "file").c_str(), 0) == 0;
      const int number = errno;
      backend.unmount(plan.target.native());
      if (!deleted) throw_errno(number, "delete", "a file of a lower layer");
    } catch (const std::exception& error) {
      failure = error.what();
    }
  }).join();
  return failure;
}

}  // namespace

void diagnose_filesystem(std::vector<Finding>& findings, const path& directory) {
  Topic topic(findings, "filesystem");
  path place = boost::filesystem::absolute(directory);
  boost::system::error_code ignored;
  while (!boost::filesystem::is_directory(place, ignored) && place.has_parent_path()) place = place.parent_path();
  topic.good("directory", place.native());
  topic.good("type", type_of(place));
  diagnose_space(topic, open_directory(place).get());

  std::optional<Trial> made;
  try {
    made.emplace(place);
  } catch (const Error& error) {
    topic.bad("writing", "no", "a store can't be made here by this user: " + error.code().message());
    return;
  }
  const Trial& trial = *made;
  const FileDescriptor file = trial.create("file");
  const bool user = sys::fsetxattr(file.get(), "user.strata-trial", "x", 1, 0) == 0;
  const bool trusted = sys::fsetxattr(file.get(), "trusted.strata-trial", "x", 1, 0) == 0;
  user ? topic.good("user.* attributes", "yes")
       : topic.limited("user.* attributes", "no",
                       "layers lose theirs, and no store for ordinary users can be kept here: use another filesystem");
  trusted
      ? topic.good("trusted.* attributes", "yes")
      : topic.limited("trusted.* attributes", "no", "layers are kept in the form overlay-user; root could set them");
  topic.good_or_limited(tells_types(trial.fd()), "types in directories",
                        "overlay needs them for whiteouts: on xfs, mkfs.xfs -n ftype=1");
  topic.good_or_limited(static_cast<bool>(FileDescriptor(sys::openat(trial.fd(), ".", O_TMPFILE | O_RDWR, 0600))),
                        "O_TMPFILE", "overlay can't copy files up here: use another filesystem");
  const FileDescriptor copy = trial.create("copy");
  topic.good_or_limited(sys::ioctl(copy.get(), FICLONE, file.get()) == 0, "reflinks",
                        "copies cost their size: btrfs and xfs share it");
  topic.good_or_limited(sys::mknodat(trial.fd(), "whiteout", S_IFCHR | 0600, makedev(0, 0)) == 0, "whiteout devices",
                        "deletions can't be stored: Linux 5.8 lets ordinary users make them, on most filesystems");
  topic.good_or_limited(sys::renameat2(trial.fd(), "copy", trial.fd(), "copied", RENAME_WHITEOUT) == 0,
                        "renaming with a whiteout", "overlay may refuse an upper here");

  const UnionForm form = trusted ? UnionForm::overlay_trusted : UnionForm::overlay_user;
  if (!KernelOverlay().probe().usable) {
    topic.limited("overlay upper", "not tried", "this user can't mount: see \"mounting\"");
    return;
  }
  const std::string failure = try_overlay(trial, form);
  failure.empty()
      ? topic.good("overlay upper", "yes")
      : topic.bad("overlay upper", "no", failure + "; containers that can be written need another filesystem");
}

}  // namespace strata::detail
