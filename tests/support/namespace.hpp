// A private mount namespace for tests that mount: what they mount is seen by nobody else and goes with the process.
#pragma once

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>

#include <cstdlib>
#include <string>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

namespace strata::test {

struct PrivateNamespace {
  bool entered = false;
  bool user = false;              ///< it has a user namespace of its own
  boost::filesystem::path place;  ///< an empty directory: a tmpfs, or one in TMPDIR that goes with the process

  bool made_place = false;

  PrivateNamespace();
  PrivateNamespace(const PrivateNamespace&) = delete;
  PrivateNamespace& operator=(const PrivateNamespace&) = delete;
  ~PrivateNamespace() {
    if (made_place) ::rmdir(place.c_str());
  }
};

namespace detail {
inline bool write_to(const char* file, const std::string& text) {
  const int fd = ::open(file, O_WRONLY | O_CLOEXEC);
  const bool written = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (fd >= 0) ::close(fd);
  return written;
}

/// Finds an empty directory for the tests on a filesystem that has user.* attributes.
inline void find_place(PrivateNamespace& space) {
  // A tmpfs over a directory that every system has leaves no mount point behind. It has these attributes since
  // Linux 6.6.
  struct stat st {};
  space.place = ::stat("/mnt", &st) == 0 ? "/mnt" : "/tmp";
  if (::mount("strata-test", space.place.c_str(), "tmpfs", 0, "mode=755") == 0) {
    space.entered = ::setxattr(space.place.c_str(), "user.strata-test", "", 0, 0) == 0;
    if (space.entered) return;
    ::umount2(space.place.c_str(), 0);
  }
  std::string name = (boost::filesystem::temp_directory_path() / "strata-test-XXXXXX").native();
  space.entered = space.made_place = ::mkdtemp(name.data()) != nullptr && ::chmod(name.c_str(), 0755) == 0;
  space.place = name;
}

inline void enter(PrivateNamespace& space) {
  const auto uid = std::to_string(::geteuid());
  const auto gid = std::to_string(::getegid());
  constexpr ino_t initial_user_namespace = 0xEFFFFFFD;
  struct stat st {};
  space.user = ::stat("/proc/self/ns/user", &st) == 0 && st.st_ino != initial_user_namespace;
  if (::geteuid() != 0 || ::getenv("STRATA_TEST_USER_NAMESPACE")) {
    space.user = true;
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return;
    write_to("/proc/self/setgroups", "deny");
    if (!write_to("/proc/self/uid_map", "0 " + uid + " 1") || !write_to("/proc/self/gid_map", "0 " + gid + " 1"))
      return;
  } else if (::unshare(CLONE_NEWNS) != 0) {
    return;
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return;
  find_place(space);
}
}  // namespace detail

inline PrivateNamespace::PrivateNamespace() { detail::enter(*this); }

/// Enters it on the first call, for which the process must have a single thread. An ordinary user (or root, with
/// STRATA_TEST_USER_NAMESPACE in the environment) gets a user namespace too, as its root.
inline const PrivateNamespace& private_namespace() {
  static const PrivateNamespace space;
  return space;
}

}  // namespace strata::test

/// At the beginning of a test that needs it: passes with a message where there is none.
#define STRATA_NEEDS_NAMESPACE                                                 \
  if (!strata::test::private_namespace().entered) {                            \
    WARN("skipped: this system doesn't let this user have a mount namespace"); \
    return;                                                                    \
  }
