// Layers in a few words, and trees as short texts to compare them with.
#pragma once

#include "support/tar_builder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace strata::test {

/// One entry, owned by whoever runs the test, so that an ordinary user can apply it.
inline RawHeader entry(char type, std::string path, std::string mode, std::string content = {}, std::string link = {},
                       unsigned time = 1000) {
  return {.path = std::move(path),
          .type = type,
          .link = std::move(link),
          .content = std::move(content),
          .mode = std::move(mode),
          .uid = octal(::geteuid(), 7),
          .gid = octal(::getegid(), 7),
          .mtime = octal(time, 11)};
}
inline RawHeader file(std::string path, std::string content = "x", std::string mode = "0000644", unsigned time = 1000) {
  return entry('0', std::move(path), std::move(mode), std::move(content), {}, time);
}
inline RawHeader dir(std::string path, std::string mode = "0000755", unsigned time = 1000) {
  return entry('5', std::move(path), std::move(mode), {}, {}, time);
}
inline RawHeader soft_link(std::string path, std::string target) {
  return entry('2', std::move(path), "0000777", {}, std::move(target));
}
inline RawHeader hard_link(std::string path, std::string target) {
  return entry('1', std::move(path), "0000644", {}, std::move(target));
}
inline RawHeader pipe_file(std::string path) { return entry('6', std::move(path), "0000644"); }
inline RawHeader whiteout(std::string path) { return entry('0', std::move(path), "0000000", {}, {}, 0); }

inline RawHeader global_header(std::string path, const std::string& key = "comment", const std::string& value = "c") {
  return entry('g', std::move(path), "0000644", pax_record(key, value));
}

inline std::string layer(const std::vector<RawHeader>& entries) {
  TarBuilder tar;
  for (const RawHeader& header : entries) tar.add(header);
  return tar.end().bytes;
}

/// A tree in short: a line an entry, sorted: "d/ 755", "d/f 644 'content'", "l -> target", "p fifo", " @time" where the
/// time isn't 1000, " note=" with "user.note", " capable", " = first" for a further name of a file. The root isn't
/// told.
class ShortTree {
 public:
  explicit ShortTree(const std::string& root) {
    walk(root, "");
    std::sort(lines_.begin(), lines_.end());
  }
  std::string text() const {
    std::string all;
    for (const std::string& line : lines_) all += line + "\n";
    return all;
  }

 private:
  void walk(const std::string& path, const std::string& prefix) {
    DIR* dir = ::opendir(path.c_str());
    if (dir == nullptr) throw std::runtime_error("cannot list " + path);
    std::vector<std::string> names;
    while (const dirent* found = ::readdir(dir))
      if (const std::string name = found->d_name; name != "." && name != "..") names.push_back(name);
    ::closedir(dir);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) tell(path + "/" + name, prefix + name);
  }
  void tell(const std::string& path, const std::string& shown) {
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) {
      // What overlay shows of a whiteout that hides nothing in a directory that isn't merged.
      lines_.push_back(shown + " ghost");
      return;
    }
    char mode[16];
    std::snprintf(mode, sizeof mode, " %o", st.st_mode & 07777U);
    std::string line = shown;
    if (S_ISDIR(st.st_mode)) line += std::string("/") + mode;
    if (S_ISREG(st.st_mode)) line += mode + std::string(" '") + content(path) + "'";
    if (S_ISFIFO(st.st_mode)) line += " fifo";
    if (S_ISCHR(st.st_mode))
      line += " char " + std::to_string(major(st.st_rdev)) + ":" + std::to_string(minor(st.st_rdev));
    if (S_ISLNK(st.st_mode)) {
      char target[4096];
      const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
      line += " -> " + std::string(target, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    }
    if (st.st_mtim.tv_sec != 1000) line += " @" + std::to_string(st.st_mtim.tv_sec);
    char value[64];
    if (const ssize_t n = ::lgetxattr(path.c_str(), "user.note", value, sizeof value); n >= 0)
      line += " note=" + std::string(value, static_cast<std::size_t>(n));
    if (::lgetxattr(path.c_str(), "security.capability", nullptr, 0) >= 0) line += " capable";
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
      const auto [first, added] = files_.emplace(std::pair{st.st_dev, st.st_ino}, shown);
      if (!added) line += " = " + first->second;
    }
    lines_.push_back(line);
    if (S_ISDIR(st.st_mode)) walk(path, shown + "/");
  }
  static std::string content(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    char text[4096];
    const ssize_t n = fd < 0 ? -1 : ::read(fd, text, sizeof text);
    if (fd >= 0) ::close(fd);
    return n < 0 ? "?" : std::string(text, static_cast<std::size_t>(n));
  }
  std::map<std::pair<dev_t, ino_t>, std::string> files_;
  std::vector<std::string> lines_;
};

inline std::string short_tree(const std::string& root) { return ShortTree(root).text(); }

}  // namespace strata::test
