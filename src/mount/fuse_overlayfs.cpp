#include <strata/error.hpp>
#include <strata/mount/fuse_overlayfs.hpp>

#include "base/program.hpp"
#include "mount/fuse.hpp"
#include "mount/host.hpp"
#include "mount/simple_plan.hpp"
#include "mount/sys_mount.hpp"
#include "tree/directory.hpp"

#include <boost/filesystem/operations.hpp>

#include <algorithm>

namespace strata {
namespace {

using namespace detail;
using boost::filesystem::path;

/// Throws where a directory has what only the kernel's overlay can follow.
void check_marks(int directory, const std::string& shown) {
  for (const DirectoryEntry& entry : list_directory(directory, shown)) {
    const std::string path = shown + "/" + entry.name;
    const auto metadata = try_stat(directory, entry.name);
    if (!metadata || (!metadata->is_directory() && !metadata->is_file())) continue;
    for (const std::string& attribute : list_xattrs(directory, entry.name, path))
      if (attribute.ends_with(".overlay.redirect") || attribute.ends_with(".overlay.metacopy"))
        throw_error(errc::unsupported, "mount", "lower " + quoted(path),
                    "it has the attribute " + attribute + ", which fuse-overlayfs doesn't know",
                    "mount it by the kernel's overlay");
    if (!metadata->is_directory()) continue;
    const FileDescriptor inside(sys::openat(directory, entry.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!inside) throw_errno(errno, "open", quoted(path));
    check_marks(inside.get(), path);
  }
}

/// The program finds out what its upper is really called, and then takes that for a list.
void check_upper(const path& upper) {
  boost::system::error_code failed;
  const path real = boost::filesystem::canonical(upper, failed);
  if (!failed && real.native().find(':') != std::string::npos)
    throw_error(errc::unsupported, "mount", "upper " + quoted(real.native()),
                "fuse-overlayfs can't have an upper in whose path there is a ':'",
                "put it elsewhere, or use another backend");
}

}  // namespace

MountProbe FuseOverlayfs::probe() const {
  MountProbe probe;
  const std::string program = find_program("fuse-overlayfs");
  probe.features.emplace_back("program", program.empty() ? "none" : program);
  probe.features.emplace_back("layers at most", std::to_string(max_layers));
  if (program.empty())
    probe.why = "there is no program fuse-overlayfs: install it (Debian: apt-get install fuse-overlayfs)";
  else
    probe.why = why_no_fuse();
  probe.usable = probe.why.empty();
  return probe;
}

bool FuseOverlayfs::reads(UnionForm form) const {
  return (form == UnionForm::overlay_trusted || form == UnionForm::overlay_user) && sees_marks(form);
}

MountResult FuseOverlayfs::mount(const MountPlan& plan) const {
  check_simple(plan, name, max_layers, "volatile");
  if (!plan.upper.empty()) check_upper(plan.upper);
  DirectoryNames names(plan, ":,\\");
  std::string options = "lowerdir=";
  for (const path& lower : plan.lowers) {
    if (!options.ends_with('=')) options += ':';
    options += names.of(lower);
    if (!plan.trees) check_marks(open_directory(lower).get(), lower.native());
  }
  if (!plan.upper.empty()) options += ",upperdir=" + names.of(plan.upper) + ",workdir=" + names.of(plan.work);
  if (plan.options.is_volatile) options += ",volatile";
  mount_fuse(plan, std::string(name), {std::string(name), "-o", options}, names.kept());
  return {"fuse-overlayfs"};
}

void FuseOverlayfs::unmount(std::string_view target) const { unmount_fuse(std::string(target), name); }

}  // namespace strata
