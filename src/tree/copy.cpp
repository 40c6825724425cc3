#include "tree/copy.hpp"

#include <strata/error.hpp>

#include "tree/mapped_ids.hpp"

#include <linux/fs.h>
#include <sys/ioctl.h>

#include <map>
#include <vector>

namespace strata::detail {

namespace {

[[noreturn]] void too_short(const std::string& path) {
  throw_error(errc::damaged, "copy", quoted(path), "it is shorter than its size says");
}

/// Through user memory, where the kernel can't copy between these filesystems by itself.
void copy_range(int from, int to, off_t offset, off_t end, const std::string& path) {
  std::vector<char> buffer(128U << 10);
  while (offset < end) {
    const std::size_t want = std::min(buffer.size(), static_cast<std::size_t>(end - offset));
    const ssize_t n = sys::pread(from, buffer.data(), want, offset);
    if (n < 0) throw_errno(errno, "read", quoted(path));
    if (n == 0) too_short(path);
    for (ssize_t done = 0; done < n;) {
      const ssize_t w = sys::pwrite(to, buffer.data() + done, static_cast<std::size_t>(n - done), offset + done);
      if (w < 0) throw_errno(errno, "write the copy of", quoted(path));
      done += w;
    }
    offset += n;
  }
}

void copy_extent(int from, int to, off_t offset, off_t end, const std::string& path) {
  while (offset < end) {
    off_t in = offset;
    off_t out = offset;
    const ssize_t n = sys::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(end - offset));
    if (n < 0) {
      if (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS || errno == EPERM)
        return copy_range(from, to, offset, end, path);
      throw_errno(errno, "copy", quoted(path));
    }
    if (n == 0) return copy_range(from, to, offset, end, path);  // some filesystems give 0 for what they can't
    offset += n;
  }
}

}  // namespace

bool can_share_blocks(int directory) {
  const FileDescriptor from(sys::openat(directory, ".", O_RDWR | O_TMPFILE, 0600));
  const FileDescriptor to(sys::openat(directory, ".", O_RDWR | O_TMPFILE, 0600));
  // Of an empty file some filesystems would share nothing, and say that they can.
  const char byte = 0;
  return from && to && sys::pwrite(from.get(), &byte, 1, 0) == 1 &&
         sys::once("clone_file", [&] { return ::ioctl(to.get(), FICLONE, from.get()); }) == 0;
}

void copy_content(int from, int to, std::uint64_t size, const std::string& path) {
  if (size == 0) return;
  if (sys::once("clone_file", [&] { return ::ioctl(to, FICLONE, from); }) == 0) {
    if (stat_of(to, path).size != size) too_short(path);
    return;
  }
  const off_t end = static_cast<off_t>(size);
  off_t at = 0;
  while (at < end) {
    const off_t data = sys::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return copy_extent(from, to, 0, end, path);  // the filesystem knows no holes
    if (data < 0 || data >= end) break;
    off_t hole = sys::lseek(from, data, SEEK_HOLE);
    if (hole < 0 || hole > end) hole = end;
    copy_extent(from, to, data, hole, path);
    at = hole;
  }
  if (stat_of(from, path).size < size) too_short(path);
  if (sys::ftruncate(to, end) != 0) throw_errno(errno, "set the size of", quoted(path));
}

void copy_file(const MergedView& view, const MergedView::Entry& entry, const Attributes& attributes, int to,
               const std::string& name, const ObjectSetter& setter) {
  const std::string shown = view.shown(entry);
  if (entry.metadata.is_file()) {
    Metadata now;
    const FileDescriptor from = view.open_data(entry, now);
    const FileDescriptor file(sys::openat(to, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    if (!file) throw_errno(errno, "create the copy of", quoted(shown));
    copy_content(from.get(), file.get(), entry.metadata.size, shown);
    setter.set_file(file.get(), attributes, 0600, shown);
    return;
  }
  const mode_t type = entry.metadata.mode & S_IFMT;
  const int made = type == S_IFLNK
                       ? sys::symlinkat(view.link_target(entry).c_str(), to, name.c_str())
                       : sys::mknodat(to, name.c_str(), type | (attributes.mode & 0777), entry.metadata.rdev);
  if (made != 0) throw_errno(errno, "create the copy of", quoted(shown));
  setter.set_node(to, name, type, attributes, shown);
}

void copy_view(const MergedView& view, int to, Attributes root, const IdMap& ids, const ObjectSetter& setter,
               const Control& control) {
  // Before anything is written: it is the likeliest to have an id that doesn't fit.
  map_to_host(root, ids, "/", setter);
  const auto mapped = [&](const MergedView::Entry& entry, const std::string& path) {
    Attributes attributes = attributes_of(entry.metadata, view.xattrs(entry));
    map_to_host(attributes, ids, path, setter);
    return attributes;
  };
  // Where the first name of a file with several was put, by inode.
  std::map<std::pair<dev_t, ino_t>, std::string> links;
  Progress progress{.phase = Progress::Phase::writing};
  const auto copy = [&](auto& self, const MergedView::Entry& directory, int dir, const std::string& prefix) -> void {
    for (const auto& [name, entry] : view.list(directory)) {
      if (control.stop.stop_requested()) throw_error(errc::cancelled, "copy", quoted(prefix + name));
      if (entry.metadata.is_directory()) {
        if (sys::mkdirat(dir, name.c_str(), 0700) != 0)
          throw_errno(errno, "create the directory", quoted(prefix + name));
        const FileDescriptor child(sys::openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        if (!child) throw_errno(errno, "open the directory", quoted(prefix + name));
        self(self, entry, child.get(), prefix + name + "/");
        setter.replace_directory(child.get(), mapped(entry, prefix + name), prefix + name);
        ObjectSetter::set_times(child.get(), entry.metadata.mtime, prefix + name);
        continue;
      }
      const std::pair file{entry.metadata.device, entry.metadata.inode};
      if (entry.metadata.links > 1) {
        if (const auto [first, added] = links.emplace(file, prefix + name); !added) {
          const std::string& path = first->second;
          const std::size_t slash = path.rfind('/');
          const FileDescriptor parent =
              open_beneath(to, slash == std::string::npos ? "" : path.substr(0, slash), O_PATH | O_DIRECTORY);
          if (sys::linkat(parent.get(), path.substr(slash == std::string::npos ? 0 : slash + 1).c_str(), dir,
                          name.c_str(), 0) != 0)
            throw_errno(errno, "link", quoted(prefix + name));
          continue;
        }
      }
      copy_file(view, entry, mapped(entry, prefix + name), dir, name, setter);
      progress.bytes += entry.metadata.is_file() ? entry.metadata.size : 0;
      if (++progress.entries % 256 == 0 && control.observer) control.observer(progress);
    }
  };
  if (const auto top = view.root()) copy(copy, *top, to, "");
  setter.replace_directory(to, root, "/");
  ObjectSetter::set_times(to, root.mtime, "/");
}

}  // namespace strata::detail
