#include "mount/host.hpp"

#include <strata/file_descriptor.hpp>

#include "mount/sys_mount.hpp"

#include <linux/nsfs.h>

#include <cstdlib>
#include <cstring>

namespace strata::detail {

std::string kernel_release() {
  utsname name{};
  sys::uname(name);
  return name.release;
}

KernelVersion kernel_version() {
  const std::string release = kernel_release();
  KernelVersion version;
  std::sscanf(release.c_str(), "%d.%d", &version.major_number, &version.minor_number);
  return version;
}

bool in_initial_user_namespace() {
  constexpr ino_t initial = 0xEFFFFFFD;  // PROC_USER_INIT_INO, the same since Linux 3.8
  struct stat st {};
  return sys::fstatat(AT_FDCWD, "/proc/thread-self/ns/user", st, 0) != 0 || st.st_ino == initial;
}

std::uint64_t effective_capabilities() {
  const auto status = read_text("/proc/thread-self/status");
  const auto line = status ? status->find("\nCapEff:") : std::string::npos;
  return line == std::string::npos ? 0 : std::strtoull(status->c_str() + line + std::strlen("\nCapEff:"), nullptr, 16);
}

bool sees_marks(UnionForm form) {
  if (overlay_prefix(form) != overlay_prefix(UnionForm::overlay_trusted)) return true;
  return in_initial_user_namespace() && (effective_capabilities() >> 21 & 1);  // CAP_SYS_ADMIN
}

bool can_mount() {
  if (!(effective_capabilities() >> 21 & 1)) return false;
  const FileDescriptor mounts(sys::openat(AT_FDCWD, "/proc/thread-self/ns/mnt", O_RDONLY));
  // EPERM: it belongs to a user namespace above this process's.
  return !mounts || FileDescriptor(sys::ioctl(mounts.get(), NS_GET_USERNS, 0)) || errno != EPERM;
}

std::optional<std::string> read_text(const char* path) {
  const FileDescriptor file(sys::openat(AT_FDCWD, path, O_RDONLY));
  if (!file) return std::nullopt;
  std::string text;
  char buffer[16384];
  for (;;) {
    const ssize_t got = sys::read(file.get(), buffer, sizeof buffer);
    if (got < 0) return std::nullopt;
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace strata::detail
