#include "tree/attributes.hpp"

#include <strata/error.hpp>

#include "tree/sys_directory.hpp"

#include <cstdint>
#include <cstdlib>
#include <limits>

namespace strata::detail {

namespace {

constexpr std::uint32_t set_id_bits = 06000;

timespec to_timespec(const Timestamp& time) {
  return {static_cast<time_t>(time.seconds), static_cast<long>(time.nanoseconds)};
}

/// An id that chown can be given: (uid_t)-1 would mean "leave it".
bool representable(std::uint64_t id) { return id < std::numeric_limits<std::uint32_t>::max(); }

/// Filesystems silently take the nearest time that they can hold: ext4 holds 1901 to 2446, or to 2038.
bool may_be_clamped(const Timestamp& time) { return time.seconds < INT32_MIN || time.seconds >= INT32_MAX; }

/// Linux 6.6; and for tests, not where openat2 shall not be used either (see directory.hpp).
bool try_fchmodat2() {
  static const bool wanted = std::getenv("STRATA_NO_OPENAT2") == nullptr;
  return wanted;
}

}  // namespace

int change_mode(int dir, const std::string& name, mode_t mode) {
  if (try_fchmodat2()) {
    const int result = sys::fchmodat2(dir, name.c_str(), mode, AT_SYMLINK_NOFOLLOW);
    // A seccomp filter that doesn't know it says EPERM; if the kernel itself did, it will say so again.
    if (result == 0 || (errno != ENOSYS && errno != EPERM)) return result;
  }
  // fchmodat follows symlinks, and fchmod takes no O_PATH descriptor; its magic link leads to the very inode.
  const FileDescriptor node(sys::openat(dir, name.c_str(), O_PATH | O_NOFOLLOW));
  struct stat st {};
  if (!node || sys::fstat(node.get(), st) != 0) return -1;
  if (S_ISLNK(st.st_mode)) return errno = EOPNOTSUPP, -1;
  return sys::chmod(("/proc/self/fd/" + std::to_string(node.get())).c_str(), mode);
}

Attributes attributes_of(const TarEntry& entry) {
  return {entry.mode & 07777, entry.uid, entry.gid, entry.mtime, entry.xattrs};
}

Attributes attributes_of(const Metadata& metadata, Xattrs xattrs) {
  return {static_cast<std::uint32_t>(metadata.mode) & 07777, metadata.uid, metadata.gid, metadata.mtime,
          std::move(xattrs)};
}

void ObjectSetter::owner_failed(int error, const Attributes& attributes, const std::string& path) const {
  const std::string ids = std::to_string(attributes.uid) + ":" + std::to_string(attributes.gid);
  // EINVAL: the id has no mapping in this user namespace; EPERM: not privileged over it.
  if (error != EINVAL && error != EPERM && error != EOVERFLOW)
    throw_errno(error, "give the owner " + ids + " to", quoted(path));
  if (owners == Owners::squash) {
    *altered = true;
    report.add("A24", path, "owner " + ids + " can't be given here: left to the caller's");
    return;
  }
  throw_errno(error, "give the owner " + ids + " to", quoted(path),
              error == EPERM ? "this user may not" : "the id has no mapping in this user namespace",
              "work as root, or in a user namespace that maps the id (unshare --user --map-root-user --map-auto, with "
              "ranges in "
              "/etc/subuid and /etc/subgid), or squash owners");
}

void ObjectSetter::xattr_failed(int error, const std::string& name, const std::string& path) const {
  if (error != EPERM && error != EOPNOTSUPP && error != EACCES && error != EINVAL)
    throw_errno(error, "set the attribute " + quoted(name) + " of", quoted(path),
                error == ENOSPC || error == E2BIG || error == ERANGE
                    ? "the filesystem has no room for attributes of this size"
                    : "");
  if (conformance == Conformance::strict) throw_errno(error, "set the attribute " + quoted(name) + " of", quoted(path));
  *altered = true;
  report.add("A17", path,
             "attribute " + quoted(name) + " can't be set here (" +
                 (error == EPERM || error == EACCES ? "not permitted" : "not supported by the filesystem") +
                 "): left out of the tree");
}

/// The kernel keeps an ACL that says no more than the mode as the mode.
void ObjectSetter::note_acl(const std::string& name) const {
  if (name.starts_with("system.posix_acl_")) *altered = true;
}

void ObjectSetter::check_time(const Metadata& now, const Attributes& attributes, const std::string& path) const {
  if (now.mtime == attributes.mtime) return;
  if (conformance == Conformance::strict)
    throw_error(errc::refused, "set the time of", quoted(path), "the filesystem can't hold it", "rule A16");
  *altered = true;
  report.add("A16", path, "the filesystem can't hold its time: the nearest is taken");
}

bool ObjectSetter::gives_silently(const Attributes& attributes) const {
  const bool mine = attributes.uid == own_uid && attributes.gid == own_gid;
  return (mine || owners == Owners::keep) && attributes.xattrs.empty() && !may_be_clamped(attributes.mtime);
}

void ObjectSetter::set_file(int fd, const Attributes& attributes, std::uint32_t created_mode,
                            const std::string& path) const {
  bool chowned = false;
  const bool mine = attributes.uid == own_uid && attributes.gid == own_gid;
  if (!mine) {
    if (!representable(attributes.uid) || !representable(attributes.gid))
      owner_failed(EINVAL, attributes, path);
    else if (sys::fchown(fd, static_cast<uid_t>(attributes.uid), static_cast<gid_t>(attributes.gid)) != 0)
      owner_failed(errno, attributes, path);
    else
      chowned = true;
  }
  for (const auto& [name, value] : attributes.xattrs) {
    if (sys::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0) xattr_failed(errno, name, path);
    note_acl(name);
  }
  // Writing and chown clear set-id bits; an ACL that was just set has rewritten the group bits by its mask.
  if (attributes.mode != created_mode || (attributes.mode & set_id_bits) != 0 ||
      (chowned && (created_mode & set_id_bits) != 0) || attributes.xattrs.contains("system.posix_acl_access"))
    if (sys::fchmod(fd, attributes.mode) != 0) throw_errno(errno, "set the mode of", quoted(path));
  const timespec times[2] = {to_timespec(attributes.mtime), to_timespec(attributes.mtime)};
  if (sys::futimens(fd, times) != 0) throw_errno(errno, "set the time of", quoted(path));
  if (may_be_clamped(attributes.mtime)) check_time(stat_of(fd, path), attributes, path);
}

void ObjectSetter::set_node(int dir, const std::string& name, mode_t type, const Attributes& attributes,
                            const std::string& path) const {
  const bool mine = attributes.uid == own_uid && attributes.gid == own_gid;
  if (!mine) {
    if (!representable(attributes.uid) || !representable(attributes.gid))
      owner_failed(EINVAL, attributes, path);
    else if (sys::fchownat(dir, name.c_str(), static_cast<uid_t>(attributes.uid), static_cast<gid_t>(attributes.gid),
                           AT_SYMLINK_NOFOLLOW) != 0)
      owner_failed(errno, attributes, path);
  }
  for (const auto& [attribute, value] : attributes.xattrs) {
    if (sys::lsetxattr(proc_path(dir, name).c_str(), attribute.c_str(), value.data(), value.size(), 0) != 0)
      xattr_failed(errno, attribute, path);
    note_acl(attribute);
  }
  if (!S_ISLNK(type) && change_mode(dir, name, attributes.mode) != 0)
    throw_errno(errno, "set the mode of", quoted(path));
  set_times(dir, name, attributes.mtime, path);
  if (may_be_clamped(attributes.mtime))
    if (const auto now = try_stat(dir, name, path)) check_time(*now, attributes, path);
}

void ObjectSetter::replace_directory(int fd, const Attributes& attributes, const std::string& path) const {
  const Metadata now = stat_of(fd, path);
  if (now.uid != attributes.uid || now.gid != attributes.gid) {
    if (!representable(attributes.uid) || !representable(attributes.gid))
      owner_failed(EINVAL, attributes, path);
    else if (sys::fchown(fd, static_cast<uid_t>(attributes.uid), static_cast<gid_t>(attributes.gid)) != 0)
      owner_failed(errno, attributes, path);
  }
  for (const auto& [name, value] : read_xattrs(fd, "", path))
    if (!attributes.xattrs.contains(name) && name != "security.selinux" && !is_overlay_xattr(name))
      if (sys::fremovexattr(fd, name.c_str()) != 0 && errno != ENODATA) xattr_failed(errno, name, path);
  for (const auto& [name, value] : attributes.xattrs) {
    if (sys::fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) != 0) xattr_failed(errno, name, path);
    note_acl(name);
  }
  if (sys::fchmod(fd, attributes.mode) != 0) throw_errno(errno, "set the mode of", quoted(path));
}

void ObjectSetter::set_times(int dir, const std::string& name, const Timestamp& mtime, const std::string& path) {
  const timespec times[2] = {to_timespec(mtime), to_timespec(mtime)};
  if (sys::utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    throw_errno(errno, "set the time of", quoted(path));
}

void ObjectSetter::set_times(int fd, const Timestamp& mtime, const std::string& path) {
  const timespec times[2] = {to_timespec(mtime), to_timespec(mtime)};
  if (sys::futimens(fd, times) != 0) throw_errno(errno, "set the time of", quoted(path));
}

}  // namespace strata::detail
