#include <strata/diagnose.hpp>
#include <strata/file_descriptor.hpp>
#include <strata/mount/kernel_overlay.hpp>

#include "mount/backends.hpp"
#include "mount/diagnose_parts.hpp"
#include "mount/host.hpp"
#include "mount/sys_mount.hpp"

#include <exception>

namespace strata {
namespace detail {

void diagnose_kernel(std::vector<Finding>& findings) {
  Topic topic(findings, "kernel");
  const KernelVersion version = kernel_version();
  if (version >= KernelVersion{5, 11})
    topic.good("version", kernel_release());
  else
    topic.limited("version", kernel_release(), "ordinary users can't mount overlays before Linux 5.11");

  const FileDescriptor context(sys::fsopen("overlay"));
  const int number = context ? 0 : errno;
  const auto known = read_text("/proc/filesystems");
  if (number == 0 || (known && known->find("\toverlay\n") != std::string::npos))
    topic.good("overlay", "yes");
  else
    topic.bad("overlay", "not loaded", "nothing can be mounted: load its module (modprobe overlay) as root");
  // A seccomp filter that doesn't know it says EPERM.
  topic.good_or_limited(
      number != ENOSYS && !(number == EPERM && can_mount()), "new mount API",
      "mounts go through mount(2), which says less about errors: Linux 5.2 has it, unless a sandbox refuses it");

  // Where this user may not mount, the version has to tell.
  const FileDescriptor root(sys::openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
  const bool by_descriptor =
      context ? sys::fsconfig_fd(context.get(), "lowerdir+", root.get()) == 0 : version >= KernelVersion{6, 13};
  topic.good_or_limited(by_descriptor, "layers by descriptor", "layers are given by name: Linux 6.13 has it");
  topic.good("layers at most", std::to_string(KernelOverlay::max_layers));

  open_how how{};
  how.flags = O_PATH | O_DIRECTORY;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  const FileDescriptor beneath(sys::openat2(AT_FDCWD, ".", how));
  topic.good_or_limited(
      static_cast<bool>(beneath), "openat2",
      "paths are walked name by name, which is slower: Linux 5.6 has it, unless a sandbox refuses it");
}

}  // namespace detail

std::vector<Finding> diagnose(const boost::filesystem::path& directory) {
  std::vector<Finding> findings;
  const auto look = [&](const char* name, auto part) {
    try {
      part();
    } catch (const std::exception& error) {
      detail::Topic(findings, name).bad("examination", error.what(), "what follows from this wasn't looked at");
    }
  };
  look("kernel", [&] { detail::diagnose_kernel(findings); });
  look("user", [&] { detail::diagnose_user(findings); });
  look("helpers", [&] { detail::diagnose_helpers(findings); });
  look("filesystem", [&] { detail::diagnose_filesystem(findings, directory); });
  return findings;
}

std::vector<Finding> diagnose_backend(std::string_view name) {
  const detail::KnownBackend& backend = detail::backend_named(name);
  std::vector<Finding> findings;
  detail::Topic topic(findings, "backend " + std::string(name));
  const MountProbe probe = backend.probe();
  probe.usable ? topic.good("usable", "yes") : topic.bad("usable", "no", probe.why);
  for (const auto& [feature, found] : probe.features) topic.good(feature, found);
  return findings;
}

}  // namespace strata
