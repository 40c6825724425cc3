// A stack of directories in a union form, mounted by the program that reads it (the kernel, fuse-overlayfs,
// unionfs-fuse), seen by a child process alone.
#pragma once

#include <strata/whiteout.hpp>

#include "support/private_overlay.hpp"

#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/utsname.h>

#include <csignal>
#include <cstdlib>
#include <map>

namespace strata::test {

struct FormMount {
  UnionForm form = UnionForm::overlay_trusted;
  std::vector<boost::filesystem::path> lowers;  ///< topmost first
  boost::filesystem::path upper = {};           ///< empty: read-only
  boost::filesystem::path work = {};            ///< with an upper, of those that need one
};

namespace form_mount {

inline std::vector<std::string> command_of(const FormMount& mount, const boost::filesystem::path& target) {
  std::string layers;
  const bool fuse_overlayfs = mount.form == UnionForm::fuse_overlayfs;
  if (!fuse_overlayfs && !mount.upper.empty()) layers = mount.upper.native() + "=RW";
  for (const auto& lower : mount.lowers)
    layers += (layers.empty() ? "" : ":") + lower.native() + (fuse_overlayfs ? "" : "=RO");
  if (!fuse_overlayfs) return {"unionfs", "-f", "-o", "cow,hide_meta_files", layers, target.native()};
  std::string options = "lowerdir=" + layers;
  if (!mount.upper.empty()) options += ",upperdir=" + mount.upper.native() + ",workdir=" + mount.work.native();
  return {"fuse-overlayfs", "-f", "-o", options, target.native()};
}

/// The program in the foreground; it dies with this process.
inline pid_t start(const std::vector<std::string>& command) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {0, 1, 2}) ::dup2(null, fd);
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

inline bool is_fuse(const boost::filesystem::path& target) {
  struct statfs st {};
  constexpr decltype(st.f_type) fuse_magic = 0x65735546;
  return ::statfs(target.c_str(), &st) == 0 && st.f_type == fuse_magic;
}

/// In namespaces of its own already.
inline std::string work_in_fuse(const FormMount& mount, const boost::filesystem::path& target,
                                const std::function<std::string(const boost::filesystem::path&)>& work) {
  const auto command = command_of(mount, target);
  const pid_t program = start(command);
  int status = 0;
  for (int tries = 0; !is_fuse(target); ++tries) {
    if (::waitpid(program, &status, WNOHANG) == program)
      throw std::runtime_error(command[0] + (WIFEXITED(status) && WEXITSTATUS(status) == 127
                                                 ? " isn't installed"
                                                 : " ended with " + std::to_string(status)));
    if (tries == 500) {
      ::kill(program, SIGKILL);
      ::waitpid(program, &status, 0);
      throw std::runtime_error(command[0] + " has mounted nothing for five seconds");
    }
    ::usleep(10000);
  }
  std::string answer, wrong;
  try {
    answer = work(target);
  } catch (const std::exception& error) {
    wrong = error.what();
  }
  if (::umount2(target.c_str(), 0) != 0) {
    ::umount2(target.c_str(), MNT_DETACH);
    ::kill(program, SIGKILL);
  }
  ::waitpid(program, &status, 0);
  if (!wrong.empty()) throw std::runtime_error(wrong);
  return answer;
}

}  // namespace form_mount

/// As in_overlay().
inline std::string in_union(const FormMount& mount, const boost::filesystem::path& target,
                            const std::function<std::string(const boost::filesystem::path&)>& work) {
  if (const std::string_view prefix = overlay_prefix(mount.form); !prefix.empty()) {
    PrivateOverlay overlay{mount.lowers, mount.upper, mount.work, prefix[0] == 'u' ? "userxattr" : ""};
    return in_overlay(overlay, target, work);
  }
  return in_namespaces([&] { return form_mount::work_in_fuse(mount, target, work); });
}

/// Why this user can't mount a stack of a form here; empty: he can.
inline const std::string& why_no_union(UnionForm form) {
  static std::map<UnionForm, std::string> known;
  const auto [why, unknown] = known.try_emplace(form);
  if (!unknown) return why->second;
  try {
    if (form == UnionForm::aufs) throw std::runtime_error("no kernel of Debian has AUFS");
    struct utsname kernel {};
    ::uname(&kernel);
    int major = 0, minor = 0;
    const bool by_attribute = form == UnionForm::overlay_xattr_trusted || form == UnionForm::overlay_xattr_user;
    if (by_attribute && std::sscanf(kernel.release, "%d.%d", &major, &minor) == 2 && major * 1000 + minor < 6007)
      throw std::runtime_error("Linux 6.7 is the first that reads it");
    if (overlay_prefix(form).starts_with("trusted") && !is_privileged())
      throw std::runtime_error("this user can't have trusted attributes");
    if (overlay_prefix(form).empty() && ::access("/dev/fuse", R_OK | W_OK) != 0)
      throw std::runtime_error("this user can't open /dev/fuse");
    const ScratchDirectory scratch;
    in_union({form, {scratch.directory("l")}, scratch.directory("u"), scratch.directory("w")}, scratch.directory("m"),
             [](const auto&) { return std::string(); });
  } catch (const std::exception& error) {
    why->second = error.what();
  }
  return why->second;
}

}  // namespace strata::test
