// A layer applied to a plain directory, in the plainest way there is: whiteouts first, then entry after entry. It
// judges what a diff wrote, and shares nothing with the library but the reading of tars.
#pragma once

#include <strata/tar.hpp>

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace strata::test {

class PlainApply {
 public:
  PlainApply(const std::string& tar, const boost::filesystem::path& root) : tar_(tar), root_(root.native()) {}

  void run() {
    TarEntry root;
    struct stat st {};
    check(::stat(root_.c_str(), &st), root_);
    root.mtime = {st.st_mtim.tv_sec, static_cast<std::uint32_t>(st.st_mtim.tv_nsec)};
    each([this](const TarEntry& entry, TarReader&) { remove_hidden(entry); });
    each([this](const TarEntry& entry, TarReader& reader) { create(entry, reader); });
    // A directory that the layer doesn't list keeps its time (A16); only the root is changed without being listed.
    set_time(root_, root);
    for (auto at = directories_.rbegin(); at != directories_.rend(); ++at) set_time(place(at->path), *at);
  }

 private:
  template <class Visit>
  void each(Visit visit) {
    MemorySource source(tar_);
    TarReader reader(source);
    while (const TarEntry* entry = reader.next()) visit(*entry, reader);
  }
  static void check(int result, const std::string& what) {
    if (result != 0) throw std::runtime_error("cannot apply " + what + ": " + std::strerror(errno));
  }
  std::string place(std::string path) const {
    while (path.ends_with('/')) path.pop_back();
    return root_ + '/' + path;
  }
  static std::string leaf(const std::string& path) { return path.substr(path.rfind('/') + 1); }
  static bool is_directory(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
  }

  void remove_hidden(const TarEntry& entry) const {
    const std::string path = place(entry.path), name = leaf(path);
    const std::string directory = path.substr(0, path.rfind('/') + 1);
    if (name == ".wh..wh..opq") {
      for (const auto& old : boost::filesystem::directory_iterator(directory)) boost::filesystem::remove_all(old);
    } else if (name.starts_with(".wh.")) {
      if (boost::filesystem::remove_all(directory + name.substr(4)) == 0)
        throw std::runtime_error("a whiteout that hides nothing: " + entry.path);
    }
  }

  void create(const TarEntry& entry, TarReader& reader) {
    const std::string path = place(entry.path);
    if (leaf(path).starts_with(".wh.")) return;
    const char* const at = path.c_str();
    if (entry.type == TarType::directory) {
      if (!is_directory(path)) {
        boost::filesystem::remove_all(path);
        check(::mkdir(at, 0700), path);
      }
      directories_.push_back(entry);
      return set_attributes(path, entry);
    }
    boost::filesystem::remove_all(path);
    const auto device = makedev(entry.device_major, entry.device_minor);
    switch (entry.type) {
      case TarType::hardlink:
        return check(::linkat(AT_FDCWD, place(entry.link).c_str(), AT_FDCWD, at, 0), path);
      case TarType::symlink:
        check(::symlink(entry.link.c_str(), at), path);
        break;
      case TarType::fifo:
        check(::mknod(at, S_IFIFO | 0600, 0), path);
        break;
      case TarType::character:
        check(::mknod(at, S_IFCHR | 0600, device), path);
        break;
      case TarType::block:
        check(::mknod(at, S_IFBLK | 0600, device), path);
        break;
      default:
        write(path, reader);
    }
    set_attributes(path, entry);
    set_time(path, entry);
  }

  static void write(const std::string& path, TarReader& reader) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    check(fd < 0, path);
    for (auto bytes = reader.content(); !bytes.empty(); bytes = reader.content())
      check(::write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()), path);
    ::close(fd);
  }

  static void set_attributes(const std::string& path, const TarEntry& entry) {
    const char* const at = path.c_str();
    check(::lchown(at, static_cast<uid_t>(entry.uid), static_cast<gid_t>(entry.gid)), path);
    if (entry.type != TarType::symlink) check(::chmod(at, entry.mode), path);
    char names[65536];
    const ssize_t size = ::llistxattr(at, names, sizeof names);
    for (ssize_t i = 0; i < size; i += static_cast<ssize_t>(std::strlen(names + i)) + 1)
      if (!entry.xattrs.contains(names + i) && std::strcmp(names + i, "security.selinux") != 0)
        check(::lremovexattr(at, names + i), path);
    for (const auto& [name, value] : entry.xattrs)
      check(::lsetxattr(at, name.c_str(), value.data(), value.size(), 0), path + " " + name);
  }
  static void set_time(const std::string& path, const TarEntry& entry) {
    const timespec times[2] = {{0, UTIME_OMIT}, {entry.mtime.seconds, static_cast<long>(entry.mtime.nanoseconds)}};
    check(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), path);
  }

  const std::string& tar_;
  std::string root_;
  std::vector<TarEntry> directories_;
};

}  // namespace strata::test
