// A tree as text, one line for each entry with every attribute that a layer carries, so that two trees are equal when
// their texts are. Written against the system calls alone, and shares nothing with what it judges.
#pragma once

#include <boost/filesystem/path.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace strata::test {

/// What a line tells; fill it from anywhere and let TreeText write it.
struct TreeLine {
  std::string path;
  mode_t mode = 0;
  std::uint64_t uid = 0, gid = 0, size = 0;
  std::int64_t seconds = 0;
  long nanoseconds = 0;
  dev_t rdev = 0;
  std::string link;
  std::map<std::string, std::string> xattrs;
  std::uint64_t content = 0;                      ///< a sum of it
  std::pair<std::uint64_t, std::uint64_t> inode;  ///< device and number
};

inline std::uint64_t sum_of(const char* bytes, std::size_t size, std::uint64_t sum = 14695981039346656037u) {
  for (std::size_t i = 0; i < size; ++i) sum = (sum ^ static_cast<unsigned char>(bytes[i])) * 1099511628211u;
  return sum;
}

inline std::uint64_t sum_of_descriptor(int fd) {
  std::uint64_t sum = sum_of(nullptr, 0);
  char buffer[16384];
  ssize_t n;
  while ((n = ::read(fd, buffer, sizeof buffer)) > 0) sum = sum_of(buffer, static_cast<std::size_t>(n), sum);
  if (n < 0) throw std::runtime_error(std::string("cannot read: ") + std::strerror(errno));
  return sum;
}

class TreeText {
 public:
  void add(const TreeLine& line) {
    std::string text = line.path + " " + octal(line.mode) + " " + std::to_string(line.uid) + ":" +
                       std::to_string(line.gid) + " @" + std::to_string(line.seconds) + "." +
                       std::to_string(line.nanoseconds);
    if (S_ISREG(line.mode)) text += " size=" + std::to_string(line.size) + " sum=" + std::to_string(line.content);
    if (S_ISCHR(line.mode) || S_ISBLK(line.mode))
      text += " dev=" + std::to_string(major(line.rdev)) + ":" + std::to_string(minor(line.rdev));
    if (!line.link.empty()) text += " -> " + line.link;
    for (const auto& [name, value] : line.xattrs) {
      text += " " + name + "=";
      for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
      }
    }
    if (!S_ISDIR(line.mode)) {
      const auto [first, is_first] = groups_.emplace(line.inode, line.path);
      if (!is_first) text += " same as " + first->second;
    }
    lines_.push_back(std::move(text));
  }
  std::string text() const {
    std::string all;
    for (const std::string& line : lines_) all += line + "\n";
    return all;
  }

 private:
  static std::string octal(mode_t mode) {
    char text[16];
    std::snprintf(text, sizeof text, "%06o", static_cast<unsigned>(mode));
    return text;
  }
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> groups_;
  std::vector<std::string> lines_;
};

inline std::map<std::string, std::string> xattrs_of(const std::string& path) {
  std::string names(65536, '\0');
  const ssize_t size = ::llistxattr(path.c_str(), names.data(), names.size());
  std::map<std::string, std::string> result;
  for (ssize_t at = 0; at < size;) {
    const std::string name = names.c_str() + at;
    at += static_cast<ssize_t>(name.size()) + 1;
    std::string value(65536, '\0');
    const ssize_t n = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (n >= 0 && name != "security.selinux") result[name] = value.substr(0, static_cast<std::size_t>(n));
  }
  return result;
}

/// The attributes of what `path` names.
inline TreeLine line_of(const std::string& path, const std::string& shown) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) throw std::runtime_error("cannot stat " + path + ": " + std::strerror(errno));
  TreeLine line{shown,
                st.st_mode,
                st.st_uid,
                st.st_gid,
                static_cast<std::uint64_t>(st.st_size),
                st.st_mtim.tv_sec,
                st.st_mtim.tv_nsec,
                st.st_rdev,
                {},
                xattrs_of(path),
                0,
                {st.st_dev, st.st_ino}};
  if (S_ISLNK(st.st_mode)) {
    char target[4096];
    const ssize_t n = ::readlink(path.c_str(), target, sizeof target);
    line.link.assign(target, static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  } else if (S_ISREG(st.st_mode)) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) throw std::runtime_error("cannot open " + path + ": " + std::strerror(errno));
    line.content = sum_of_descriptor(fd);
    ::close(fd);
  }
  return line;
}

inline void add_tree(TreeText& text, const std::string& path, const std::string& shown) {
  text.add(line_of(path, shown));
  DIR* dir = ::opendir(path.c_str());
  if (!dir) {
    if (errno == ENOTDIR) return;
    throw std::runtime_error("cannot list " + path + ": " + std::strerror(errno));
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir))
    if (const std::string name = entry->d_name; name != "." && name != "..") names.push_back(name);
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    struct stat st {};
    const std::string below = path + "/" + name;
    if (::lstat(below.c_str(), &st) == 0 && S_ISDIR(st.st_mode))
      add_tree(text, below, shown + "/" + name);
    else
      text.add(line_of(below, shown + "/" + name));
  }
}

/// A whole directory as text, with the root as ".".
inline std::string tree_text(const boost::filesystem::path& root) {
  TreeText text;
  add_tree(text, root.native(), ".");
  return text.text();
}

/// The lines that only one of two texts has, "-" before those of the first; empty where they are equal.
inline std::string difference(const std::string& first, const std::string& second) {
  const auto lines_of = [](const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
  };
  const auto missing = [](const std::vector<std::string>& from, const std::vector<std::string>& in, const char* sign) {
    std::string text;
    for (const std::string& line : from)
      if (std::find(in.begin(), in.end(), line) == in.end()) text += sign + line + "\n";
    return text;
  };
  if (first == second) return {};
  const auto a = lines_of(first), b = lines_of(second);
  const std::string text = missing(a, b, "-") + missing(b, a, "+");
  return text.empty() ? "the order of lines" : text;
}

}  // namespace strata::test
