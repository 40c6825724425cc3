// Random changes to a tree, of every kind that a layer can carry. What the system refuses (EXDEV from overlay, EPERM as
// an ordinary user) is passed over.
#pragma once

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace strata::test {

class RandomChanges {
 public:
  RandomChanges(const boost::filesystem::path& root, unsigned seed) : root_(root.native()), random_(seed) {}

  void make(int count) {
    for (int i = 0; i < count; ++i) one();
  }

 private:
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }

  static bool is_directory(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
  }

  static bool is_symlink(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0 && S_ISLNK(st.st_mode);
  }

  /// Every path there is, the root first.
  std::vector<std::string> paths() const {
    namespace fs = boost::filesystem;
    std::vector<std::string> found;
    boost::system::error_code error;
    for (fs::recursive_directory_iterator at(root_, error), end; at != end; at.increment(error)) {
      if (error) break;
      found.push_back(at->path().native());
    }
    std::sort(found.begin(), found.end());
    found.insert(found.begin(), root_);
    return found;
  }

  std::string any(bool directories_only = false) {
    std::vector<std::string> all = paths();
    if (directories_only) std::erase_if(all, [](const std::string& path) { return !is_directory(path); });
    return all[below(static_cast<unsigned>(all.size()))];
  }
  std::string file() {
    std::vector<std::string> all = paths();
    std::erase_if(all, [](const std::string& path) {
      struct stat st {};
      return ::lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode);
    });
    return all.empty() ? std::string() : all[below(static_cast<unsigned>(all.size()))];
  }
  /// Few names, so that the same comes back after it was deleted.
  std::string place() {
    static const char* const names[] = {"a", "b", "c", "dir", "etc", "lib", "x y", "\xff\xfe", "z\n"};
    return any(true) + "/" + names[below(9)];
  }

  void write(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK | flags, 0600 | below(0200));
    if (fd < 0) return;
    if (below(6) == 0) (void)::lseek(fd, static_cast<off_t>(below(300000)), SEEK_SET);
    std::string content(below(4) == 0 ? below(20000) : below(40), '\0');
    for (char& c : content) c = static_cast<char>(random_());
    if (::write(fd, content.data(), content.size()) < 0) std::perror("write");
    if (below(6) == 0) (void)!::ftruncate(fd, static_cast<off_t>(below(400000)));
    ::close(fd);
  }
  void remove(const std::string& path) {
    if (path != root_) {
      boost::system::error_code error;
      boost::filesystem::remove_all(path, error);
    }
  }
  void set_time(const std::string& path) {
    const timespec times[2] = {{0, UTIME_NOW}, {static_cast<time_t>(below(2000000000)) - 100000, below(1000000000)}};
    ::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }

  /// As the kernel takes it: version 2; then tag, permissions and id of the owner, this user, the group, the mask, the
  /// others.
  std::string access_control_list() {
    std::string acl("\2\0\0\0", 4);
    const auto add = [&](char tag, unsigned permissions, std::uint32_t id) {
      acl += {tag, '\0', static_cast<char>(permissions), '\0'};
      for (int shift = 0; shift < 32; shift += 8) acl += static_cast<char>(id >> shift);
    };
    add(1, 7, ~0U);
    add(2, below(8), ::geteuid());
    add(4, below(8), ~0U);
    add(16, below(8), ~0U);
    add(32, below(8), ~0U);
    return acl;
  }

  void one() {
    switch (below(28)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return write(place(), O_CREAT | O_TRUNC);
      case 4:
      case 5:
      case 6:
        ::mkdir(place().c_str(), 0700 | below(0100));
        return;
      case 7:
        return (void)::symlink(below(2) ? "../a" : "/nowhere", place().c_str());
      case 8:
        if (below(3) == 0)
          ::mknod(place().c_str(), S_IFCHR | 0620, makedev(5, 1 + below(5)));
        else
          ::mkfifo(place().c_str(), 0640);
        return;
      case 9:
      case 10:
        return remove(any());
      case 11:
      case 12:
      case 13: {
        const std::string from = any(below(2) == 0);
        if (from != root_) ::rename(from.c_str(), place().c_str());
        return;
      }
      case 14: {  // the same directory again, with nothing of the old
        const std::string path = any(true);
        if (path == root_) return;
        remove(path);
        ::mkdir(path.c_str(), 0755);
        if (below(2)) write(path + "/a", O_CREAT);
        return;
      }
      case 15: {
        // An ordinary user must still get into his directories.
        const std::string path = any();
        if (is_symlink(path)) return;
        ::chmod(path.c_str(), (is_directory(path) ? 0700 : 0600) | below(below(2) ? 01000 : 010000));
        return;
      }
      case 16:
        ::lchown(any().c_str(), ::getuid() ? ::getuid() : below(3000), ::getgid() ? ::getgid() : below(3000));
        return;
      case 17:
        return set_time(any());
      case 18:
      case 19: {
        const std::string path = any();
        const char* const name = below(2) ? "user.note" : "user.other";
        if (below(3))
          ::lsetxattr(path.c_str(), name, "value", below(6), 0);
        else
          ::lremovexattr(path.c_str(), name);
        return;
      }
      case 20:
      case 21: {
        const std::string path = file();
        if (!path.empty()) ::link(path.c_str(), place().c_str());
        return;
      }
      case 22: {  // other bytes, and nothing else to tell them by
        const std::string path = file();
        struct stat st {};
        if (path.empty() || ::stat(path.c_str(), &st) != 0 || st.st_size == 0) return;
        const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
        const char byte = static_cast<char>(random_());
        if (fd < 0) return;
        if (::pwrite(fd, &byte, 1, static_cast<off_t>(below(static_cast<unsigned>(st.st_size)))) < 0)
          std::perror("pwrite");
        const timespec times[2] = {st.st_atim, st.st_mtim};
        ::futimens(fd, times);
        ::close(fd);
        return;
      }
      case 23: {
        const std::string path = any();
        const std::string acl = access_control_list();
        if (is_symlink(path)) return;
        ::lsetxattr(path.c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0);
        return;
      }
      case 24: {  // what is made in it later inherits it
        const std::string path = any(true);
        const std::string acl = access_control_list();
        if (below(2))
          ::lsetxattr(path.c_str(), "system.posix_acl_default", acl.data(), acl.size(), 0);
        else
          ::lremovexattr(path.c_str(), "system.posix_acl_default");
        return;
      }
      case 25: {
        const std::string path = file();
        // struct vfs_cap_data: revision 2, effective; permitted and inheritable of capabilities 0 to 31, then 32 to 63.
        const unsigned char capability[20] = {1, 0, 0, 2, static_cast<unsigned char>(1 + below(255)), 4};
        if (!path.empty()) ::lsetxattr(path.c_str(), "security.capability", capability, sizeof capability, 0);
        return;
      }
      case 26:
        ::lsetxattr(any().c_str(), "trusted.note", "\0\xff\n", below(4), 0);
        return;
      default: {
        const std::string path = file();
        if (!path.empty()) write(path, below(2) ? O_APPEND : 0);
      }
    }
  }

  std::string root_;
  std::mt19937 random_;
};

}  // namespace strata::test
