// Files, attributes and mounts for tests that mount.
#pragma once

#include <strata/error.hpp>
#include <strata/file_descriptor.hpp>
#include <strata/mount_plan.hpp>

#include "support/catch.hpp"
#include "support/namespace.hpp"

#include <boost/filesystem.hpp>
#include <boost/filesystem/fstream.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

namespace strata::test {

/// A directory of one test on the private namespace's tmpfs, or in `place`.
class Scratch {
 public:
  explicit Scratch(const boost::filesystem::path& place = private_namespace().place)
      : root_(place / ("scratch" + std::to_string(next()))) {
    boost::filesystem::create_directory(root_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    boost::system::error_code ignored;
    boost::filesystem::remove_all(root_, ignored);
  }
  const boost::filesystem::path& root() const { return root_; }
  boost::filesystem::path directory(const std::string& name) const {
    boost::filesystem::create_directory(root_ / name);
    return root_ / name;
  }

 private:
  static int next() {
    static std::atomic<int> count{0};
    return ++count;
  }
  boost::filesystem::path root_;
};

/// A plan mounted for as long as this lives.
template <class Backend>
class Mounted {
 public:
  Mounted(const Backend& backend, const MountPlan& plan) : backend_(backend), target_(plan.target.native()) {
    backend_.mount(plan);
  }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;
  ~Mounted() {
    try {
      backend_.unmount(target_);
    } catch (const std::exception& error) {
      FAIL_CHECK(error.what());
    }
  }

 private:
  const Backend& backend_;
  std::string target_;
};

/// When it goes, nothing stays mounted beneath a directory.
class Unmounted {
 public:
  explicit Unmounted(boost::filesystem::path directory) : directory_(std::move(directory)) {}
  Unmounted(const Unmounted&) = delete;
  Unmounted& operator=(const Unmounted&) = delete;
  ~Unmounted() {
    const auto table = mount_table();
    for (auto entry = table.rbegin(); entry != table.rend(); ++entry)
      if (entry->target.native().starts_with(directory_.native() + "/")) ::umount2(entry->target.c_str(), MNT_DETACH);
  }

 private:
  boost::filesystem::path directory_;
};

inline void put(const boost::filesystem::path& file, const std::string& text) {
  boost::filesystem::ofstream stream(file);
  stream << text;
  stream.close();
  if (!stream) FAIL_CHECK("can't write " << file);
}
inline std::string get(const boost::filesystem::path& file) {
  boost::filesystem::ifstream stream(file);
  if (!stream) FAIL_CHECK("can't read " << file);
  return {std::istreambuf_iterator<char>(stream), {}};
}
/// The names in a directory, sorted, with a space between them.
inline std::string names(const boost::filesystem::path& directory) {
  std::vector<std::string> found;
  for (const auto& entry : boost::filesystem::directory_iterator(directory))
    found.push_back(entry.path().filename().native());
  std::sort(found.begin(), found.end());
  std::string list;
  for (const auto& name : found) list += (list.empty() ? "" : " ") + name;
  return list;
}
inline struct stat stat_of(const boost::filesystem::path& file) {
  struct stat st {};
  if (::lstat(file.c_str(), &st) != 0) FAIL_CHECK("can't stat " << file);
  return st;
}
inline ino_t inode(const boost::filesystem::path& file) { return stat_of(file).st_ino; }
inline bool is_whiteout(const boost::filesystem::path& file) {
  const auto st = stat_of(file);
  return S_ISCHR(st.st_mode) && st.st_rdev == 0;
}
inline void make_whiteout(const boost::filesystem::path& file) {
  if (::mknod(file.c_str(), S_IFCHR | 0600, makedev(0, 0)) != 0) FAIL_CHECK("can't make a whiteout: " << file);
}
inline void set_attribute(const boost::filesystem::path& file, const std::string& name, const std::string& value) {
  if (::lsetxattr(file.c_str(), name.c_str(), value.data(), value.size(), 0) != 0)
    FAIL_CHECK("can't set " << name << " of " << file);
}
inline std::string attribute(const boost::filesystem::path& file, const std::string& name) {
  char value[4096];
  const ssize_t size = ::lgetxattr(file.c_str(), name.c_str(), value, sizeof value);
  return size < 0 ? "(none)" : std::string(value, static_cast<std::size_t>(size));
}
/// The errno of opening a file for writing, making it where it isn't there; 0: it can be written.
inline int write_error(const boost::filesystem::path& file) {
  const FileDescriptor fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  return fd ? 0 : errno;
}
inline std::optional<MountedEntry> table_entry(const boost::filesystem::path& target) {
  std::optional<MountedEntry> found;
  for (auto& entry : mount_table())
    if (entry.target == target) found = std::move(entry);
  return found;
}
/// The Error that `call` throws.
template <class Call>
Error thrown(Call call) {
  std::optional<Error> error;
  try {
    call();
  } catch (const Error& caught) {
    error = caught;
  }
  REQUIRE(error);
  return *error;
}

}  // namespace strata::test
