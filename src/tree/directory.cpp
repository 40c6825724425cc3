#include "tree/directory.hpp"

#include <strata/error.hpp>

#include "tree/sys_directory.hpp"

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>

namespace strata::detail {
namespace {

/// openat2 is there since Linux 5.6; a seccomp filter that doesn't know it says EPERM (older Docker) or ENOSYS.
bool have_openat2() {
  static const bool found = [] {
    if (std::getenv("STRATA_NO_OPENAT2")) return false;
    open_how how{};
    how.flags = O_PATH;
    how.resolve = RESOLVE_BENEATH;
    return bool(FileDescriptor(sys::openat2(AT_FDCWD, ".", how))) || (errno != ENOSYS && errno != EPERM);
  }();
  return found;
}

/// Opens what is left of a path one component at a time, none of them followed.
int walk_beneath(int dir, std::string_view path, int flags) {
  FileDescriptor held;
  for (;;) {
    const std::size_t slash = path.find('/');
    const std::string name(path.substr(0, slash));
    if (slash == std::string_view::npos) {
      FileDescriptor last(sys::openat(dir, name.c_str(), flags | O_NOFOLLOW));
      struct stat st {};
      // O_PATH opens the symlink itself, which only a caller that says O_NOFOLLOW wants.
      if (last && (flags & O_PATH) && !(flags & O_NOFOLLOW) && sys::fstat(last.get(), st) == 0 && S_ISLNK(st.st_mode))
        return errno = ELOOP, -1;
      return last.release();
    }
    FileDescriptor next(sys::openat(dir, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW));
    if (!next) return -1;
    held = std::move(next);
    dir = held.get();
    path.remove_prefix(slash + 1);
  }
}

int open_piece(int dir, std::string_view path, int flags) {
  if (!have_openat2()) return walk_beneath(dir, path, flags);
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return sys::openat2(dir, std::string(path).c_str(), how);
}

/// -1 and errno. A path may be longer than the PATH_MAX that one call takes: it is opened in pieces.
int open_whole(int dir, std::string_view path, int flags) {
  FileDescriptor held;
  while (path.size() >= PATH_MAX) {
    const std::size_t slash = path.rfind('/', PATH_MAX - 1);
    if (slash == std::string_view::npos) return errno = ENAMETOOLONG, -1;
    FileDescriptor next(open_piece(dir, path.substr(0, slash), O_PATH | O_DIRECTORY));
    if (!next) return -1;
    held = std::move(next);
    dir = held.get();
    path.remove_prefix(slash + 1);
  }
  return open_piece(dir, path.empty() ? "." : path, flags);
}

bool leaves(std::string_view path) {
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return false;
}

/// Calls that read extended attributes by a directory and a name are there since Linux 6.13. STRATA_NO_OPENAT2 stands
/// for an old kernel.
bool have_xattrat() {
  static const bool found =
      !std::getenv("STRATA_NO_OPENAT2") &&
      (sys::listxattrat(AT_FDCWD, "/", AT_SYMLINK_NOFOLLOW, nullptr, 0) >= 0 || (errno != ENOSYS && errno != EPERM));
  return found;
}

bool has_no_xattrs(int error) { return error == EOPNOTSUPP || error == ENOSYS; }

/// Calls `get(into, size)` until its answer fits: it may grow between the question for its size and the answer.
/// Returns -1 and errno, or the size.
template <class Get>
ssize_t get_whole(std::string& value, Get get) {
  // Most are short, or nothing: no memory is needed for those.
  char first[256];
  const ssize_t all = get(first, sizeof first);
  if (all >= 0) return value.assign(first, static_cast<std::size_t>(all)), all;
  if (errno != ERANGE) return -1;
  value.resize(4 * sizeof first);
  for (;;) {
    const ssize_t size = get(value.data(), value.size());
    if (size >= 0) return value.resize(static_cast<std::size_t>(size)), size;
    if (errno != ERANGE) return -1;
    const ssize_t needed = get(nullptr, 0);
    if (needed < 0) return -1;
    value.resize(static_cast<std::size_t>(needed) + 256);
  }
}

/// A descriptor of any kind but O_PATH carries the attributes of what it opened itself.
ssize_t list_names(int dir, const std::string& name, std::string& names) {
  if (name.empty()) {
    const ssize_t size = get_whole(names, [&](char* at, std::size_t n) { return sys::flistxattr(dir, at, n); });
    if (size >= 0 || errno != EBADF) return size;
  }
  if (have_xattrat()) {
    const char* const leaf = name.empty() ? "." : name.c_str();
    return get_whole(names,
                     [&](char* at, std::size_t n) { return sys::listxattrat(dir, leaf, AT_SYMLINK_NOFOLLOW, at, n); });
  }
  const std::string path = proc_path(dir, name);
  return get_whole(names, [&](char* at, std::size_t n) { return sys::llistxattr(path.c_str(), at, n); });
}

ssize_t get_value(int dir, const std::string& name, const char* attribute, std::string& value) {
  if (name.empty()) {
    const ssize_t size =
        get_whole(value, [&](char* at, std::size_t n) { return sys::fgetxattr(dir, attribute, at, n); });
    if (size >= 0 || errno != EBADF) return size;
  }
  if (have_xattrat()) {
    const char* const leaf = name.empty() ? "." : name.c_str();
    return get_whole(value, [&](char* at, std::size_t n) {
      return sys::getxattrat(dir, leaf, AT_SYMLINK_NOFOLLOW, attribute, at, n);
    });
  }
  const std::string path = proc_path(dir, name);
  return get_whole(value, [&](char* at, std::size_t n) { return sys::lgetxattr(path.c_str(), attribute, at, n); });
}

}  // namespace

std::string proc_path(int dir, const std::string& name) {
  return "/proc/self/fd/" + std::to_string(dir) + '/' + (name.empty() ? "." : name);
}

Metadata metadata_of(const struct stat& st) {
  const auto time = [](const timespec& t) { return Timestamp{t.tv_sec, static_cast<std::uint32_t>(t.tv_nsec)}; };
  return {st.st_mode,
          st.st_uid,
          st.st_gid,
          static_cast<std::uint64_t>(st.st_size),
          static_cast<std::uint64_t>(st.st_blocks),
          time(st.st_mtim),
          time(st.st_ctim),
          st.st_rdev,
          st.st_dev,
          st.st_ino,
          st.st_nlink};
}

FileDescriptor try_open_beneath(int dir, std::string_view path, int flags, std::string_view shown) {
  if (leaves(path)) throw_error(errc::bad_argument, "open", quoted(shown_path(shown, path)), "it leaves the directory");
  FileDescriptor fd(open_whole(dir, path, flags));
  if (fd) return fd;
  switch (const int error = errno; error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case ENAMETOOLONG:
      return {};
    default:
      throw_errno(error, "open", quoted(shown_path(shown, path)));
  }
}

FileDescriptor open_beneath(int dir, std::string_view path, int flags, std::string_view shown) {
  FileDescriptor fd = try_open_beneath(dir, path, flags, shown);
  if (!fd) throw_errno(errno, "open", quoted(shown_path(shown, path)));
  return fd;
}

FileDescriptor open_directory(const boost::filesystem::path& path) {
  FileDescriptor fd(sys::openat(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY));
  if (!fd) throw_errno(errno, "open directory", quoted(path.native()));
  return fd;
}

FileDescriptor try_open_file(int dir, const char* name) {
  constexpr int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
  FileDescriptor fd(sys::openat(dir, name, flags | O_NOATIME));
  // Only the owner, or root, may leave the time of access alone.
  if (!fd && errno == EPERM) fd.reset(sys::openat(dir, name, flags));
  return fd;
}

std::vector<DirectoryEntry> list_directory(int dir, std::string_view shown) {
  if (sys::lseek(dir, 0, SEEK_SET) < 0) throw_errno(errno, "list", quoted(shown));
  std::vector<DirectoryEntry> entries;
  alignas(dirent64) char buffer[1 << 15];
  for (;;) {
    const ssize_t size = sys::getdents64(dir, buffer, sizeof buffer);
    if (size < 0) throw_errno(errno, "list", quoted(shown));
    if (size == 0) break;
    for (const char* at = buffer; at < buffer + size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(at);
      at += entry->d_reclen;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") entries.push_back({std::string(name), entry->d_type, entry->d_ino});
    }
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

std::optional<Metadata> try_stat(int dir, const char* name, std::string_view shown) {
  struct stat st {};
  if (sys::fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0) return metadata_of(st);
  if (const int error = errno; error != ENOENT && error != ENOTDIR && error != ENAMETOOLONG)
    throw_errno(error, "look at", quoted(shown_path(shown, name)));
  return std::nullopt;
}

Metadata stat_of(int fd, std::string_view shown) {
  struct stat st {};
  if (sys::fstat(fd, st) != 0) throw_errno(errno, "look at", quoted(shown));
  return metadata_of(st);
}

std::string read_link(int dir, const std::string& name, std::string_view shown) {
  std::string target(256, '\0');
  for (;;) {
    const ssize_t size = sys::readlinkat(dir, name.c_str(), target.data(), target.size());
    if (size < 0) throw_errno(errno, "read symlink", quoted(shown_path(shown, name)));
    if (static_cast<std::size_t>(size) < target.size()) return target.resize(static_cast<std::size_t>(size)), target;
    target.resize(target.size() * 4);
  }
}

std::vector<std::string> list_xattrs(int dir, const std::string& name, std::string_view shown) {
  std::string names;
  if (list_names(dir, name, names) < 0) {
    if (has_no_xattrs(errno)) return {};
    throw_errno(errno, "list the attributes of", quoted(shown_path(shown, name)));
  }
  std::vector<std::string> result;
  for (const char* at = names.c_str(); at < names.c_str() + names.size(); at += result.back().size() + 1)
    result.emplace_back(at);
  return result;
}

Xattrs read_xattrs(int dir, const std::string& name, std::string_view shown) {
  Xattrs result;
  for (std::string& attribute : list_xattrs(dir, name, shown))
    if (auto value = read_xattr(dir, name, attribute, shown)) result.emplace(std::move(attribute), std::move(*value));
  return result;
}

std::optional<std::string> read_xattr(int dir, const std::string& name, const std::string& attribute,
                                      std::string_view shown) {
  std::string value;
  if (get_value(dir, name, attribute.c_str(), value) >= 0) return value;
  if (const int error = errno; error != ENODATA && !has_no_xattrs(error))
    throw_errno(error, "read attribute " + quoted(attribute) + " of", quoted(shown_path(shown, name)));
  return std::nullopt;
}

bool is_overlay_xattr(std::string_view attribute) {
  return attribute.starts_with("trusted.overlay.") || attribute.starts_with("user.overlay.") ||
         attribute.starts_with("user.fuseoverlayfs.");
}

std::string shown_path(std::string_view directory, std::string_view name) {
  std::string shown(directory);
  if (!shown.empty() && !name.empty() && shown.back() != '/') shown += '/';
  return shown.append(name);
}

}  // namespace strata::detail
