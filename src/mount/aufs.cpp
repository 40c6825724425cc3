// aufs(5) of aufs6.1: the options br, append and noxino, and the attributes of branches.
#include <strata/error.hpp>
#include <strata/mount/aufs.hpp>

#include "mount/aufs_branches.hpp"
#include "mount/host.hpp"
#include "mount/kernel_log.hpp"
#include "mount/simple_plan.hpp"
#include "mount/sys_mount.hpp"
#include "mount/unmount.hpp"

#include <boost/filesystem/operations.hpp>

namespace strata {
namespace {

using boost::filesystem::path;

constexpr const char* no_aufs =
    "this kernel has no AUFS, which is no part of Linux: use overlay, or a kernel that was built with it";

bool kernel_has_aufs() {
  const auto filesystems = detail::read_text("/proc/filesystems");
  return filesystems && filesystems->find("\taufs\n") != std::string::npos;
}

std::string branch(const path& directory, const char* attribute) {
  const std::string name = boost::filesystem::absolute(directory).native();
  if (name.find_first_of(":,=\n") != std::string::npos)
    throw_error(errc::unsupported, "mount", "branch " + quoted(name),
                "AUFS can't have a branch in whose path there is a ':', a ',' or a '='",
                "put it elsewhere, or use another backend");
  return name + "=" + attribute;
}

}  // namespace

std::vector<std::string> detail::aufs_steps(const MountPlan& plan) {
  // Layers with whiteouts: "+wh", else AUFS shows them as files. The first branch that is no upper has no place for the
  // table of inode numbers that AUFS keeps.
  std::vector<std::string> steps;
  if (!plan.upper.empty()) steps.push_back("br:" + branch(plan.upper, "rw"));
  for (const path& lower : plan.lowers)
    steps.push_back(steps.empty() ? "noxino,br:" + branch(lower, "ro+wh") : "append:" + branch(lower, "ro+wh"));
  return steps;
}

MountProbe Aufs::probe() const {
  MountProbe probe;
  probe.usable = kernel_has_aufs();
  if (!probe.usable) probe.why = no_aufs;
  probe.features.emplace_back("layers at most", std::to_string(max_layers));
  return probe;
}

bool Aufs::reads(UnionForm form) const { return form == UnionForm::aufs; }

MountResult Aufs::mount(const MountPlan& plan) const {
  detail::check_simple(plan, name, max_layers);
  const std::string subject = "aufs on " + quoted(plan.target.native());
  const std::vector<std::string> steps = detail::aufs_steps(plan);
  if (!kernel_has_aufs()) throw_error(errc::unsupported, "mount", subject, no_aufs);
  detail::KernelLog log;
  const auto step = [&](const std::string& data, unsigned long flags) {
    if (sys::mount(plan.source.c_str(), plan.target.c_str(), name.data(), flags, data.c_str()) == 0) return;
    const int number = errno;
    const std::string said = log.lines("aufs ");
    if (flags & MS_REMOUNT) sys::umount2(plan.target.c_str(), MNT_DETACH);
    throw_errno(number, "mount", subject, quoted(data) + (said.empty() ? "" : ": " + said));
  };
  for (std::size_t i = 0; i < steps.size(); ++i) step(steps[i], i == 0 ? 0 : MS_REMOUNT);
  if (plan.read_only && !plan.upper.empty()) step("", MS_REMOUNT | MS_RDONLY);
  return {"mount(2), branches one by one"};
}

void Aufs::unmount(std::string_view target) const {
  constexpr unsigned long aufs_magic = 0x61756673;
  const std::string where(target);
  const FileDescriptor root(sys::openat(AT_FDCWD, where.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW));
  struct statfs st {};
  if (!root || sys::fstatfs(root.get(), st) != 0) throw_errno(errno, "unmount", "aufs on " + quoted(where));
  if (static_cast<unsigned long>(st.f_type) != aufs_magic)
    throw_error(errc::not_found, "unmount", "aufs on " + quoted(where), "none is mounted there");
  detail::unmount_at(where, name);
}

}  // namespace strata
