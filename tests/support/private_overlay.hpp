// A real overlay mount that only a child process sees, in a mount namespace of its own (and, for an ordinary user, a
// user namespace).
#pragma once

#include <boost/filesystem/path.hpp>

#include "support/scratch.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace strata::test {

struct PrivateOverlay {
  std::vector<boost::filesystem::path> lowers;  ///< topmost first
  boost::filesystem::path upper;                ///< empty: read-only
  boost::filesystem::path work;
  std::string options;  ///< "redirect_dir=on,metacopy=on"; of root's mounts only
};

inline void put_file(const char* path, const std::string& text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, text.data(), text.size()) < 0)
    throw std::runtime_error(std::string("cannot write ") + path + ": " + std::strerror(errno));
  ::close(fd);
}

inline void enter_namespaces() {
  const uid_t uid = ::getuid();
  const gid_t gid = ::getgid();
  if (::unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0)
    throw std::runtime_error(std::string("cannot unshare: ") + std::strerror(errno));
  if (uid != 0) {
    put_file("/proc/self/setgroups", "deny");
    put_file("/proc/self/uid_map", std::to_string(uid) + " " + std::to_string(uid) + " 1");
    put_file("/proc/self/gid_map", std::to_string(gid) + " " + std::to_string(gid) + " 1");
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    throw std::runtime_error(std::string("cannot make mounts private: ") + std::strerror(errno));
}

/// Whether this process is root of the first user namespace: only then are there trusted.* attributes.
inline bool is_privileged() {
  static const bool privileged = [] {
    const ScratchDirectory scratch;
    return ::setxattr(scratch.path().c_str(), "trusted.strata-test", "", 0, 0) == 0;
  }();
  return privileged;
}

/// Runs `work` in a child with a mount namespace of its own, and returns what it returned. Throws what went wrong.
inline std::string in_namespaces(const std::function<std::string()>& work) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("cannot make a pipe");
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    std::string answer;
    int status = 0;
    try {
      enter_namespaces();
      answer = work();
    } catch (const std::exception& error) {
      answer = error.what();
      status = 1;
    }
    for (std::size_t at = 0; at < answer.size();) {
      const ssize_t n = ::write(ends[1], answer.data() + at, answer.size() - at);
      if (n < 0) ::_exit(2);
      at += static_cast<std::size_t>(n);
    }
    ::_exit(status);
  }
  ::close(ends[1]);
  std::string answer;
  char buffer[65536];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;) answer.append(buffer, static_cast<std::size_t>(n));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) throw std::runtime_error("in a namespace of its own: " + answer);
  return answer;
}

/// Mounts in a child, runs `work` there on the merged root, and returns what it returned. Throws what went wrong.
inline std::string in_overlay(const PrivateOverlay& overlay, const boost::filesystem::path& target,
                              const std::function<std::string(const boost::filesystem::path&)>& work) {
  return in_namespaces([&] {
    std::string options = "lowerdir=";
    for (const auto& lower : overlay.lowers) options += (&lower == &overlay.lowers.front() ? "" : ":") + lower.native();
    if (!overlay.upper.empty()) options += ",upperdir=" + overlay.upper.native() + ",workdir=" + overlay.work.native();
    if (!is_privileged())
      options += ",userxattr";
    else if (!overlay.options.empty())
      options += "," + overlay.options;
    if (options.size() > 4000) throw std::runtime_error("the options are longer than mount(2) takes");
    if (::mount("overlay", target.c_str(), "overlay", 0, options.c_str()) != 0)
      throw std::runtime_error(std::string("cannot mount: ") + std::strerror(errno) + " (" + options + ")");
    return work(target);
  });
}

/// Whether this user can mount one at all; a test that can't says so and ends.
inline bool can_mount_overlay(const boost::filesystem::path& scratch) {
  try {
    for (const char* name : {"probe-l", "probe-u", "probe-w", "probe-m"}) ::mkdir((scratch / name).c_str(), 0755);
    in_overlay({{scratch / "probe-l"}, scratch / "probe-u", scratch / "probe-w", ""}, scratch / "probe-m",
               [](const auto&) { return std::string(); });
    return true;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "skipped: %s\n", error.what());
    return false;
  }
}

}  // namespace strata::test
