#include <strata/error.hpp>
#include <strata/mount/unionfs_fuse.hpp>

#include "base/program.hpp"
#include "mount/fuse.hpp"
#include "mount/simple_plan.hpp"
#include "mount/sys_mount.hpp"

#include <boost/filesystem/operations.hpp>

#include <algorithm>

namespace strata {
namespace {

using namespace detail;
using boost::filesystem::path;

constexpr const char* unionfs = "unionfs";

std::string on(const MountPlan& plan) { return "unionfs-fuse on " + quoted(plan.target.native()); }

bool is_mounted(const MountPlan& plan, const path& target) {
  return std::ranges::any_of(
      mount_table(), [&](const MountedEntry& entry) { return entry.target == target && entry.source == plan.source; });
}

void check(const MountPlan& plan) {
  check_simple(plan, UnionfsFuse::name, UnionfsFuse::max_layers);
  if (plan.source.find_first_of(",\\") != std::string::npos)
    throw_error(errc::refused, "mount", "this plan", "its source " + quoted(plan.source) + " has a ',' or a '\\'",
                "give another");
}

}  // namespace

MountProbe UnionfsFuse::probe() const {
  MountProbe probe;
  const std::string found = find_program(unionfs);
  probe.features.emplace_back("program", found.empty() ? "none" : found);
  probe.features.emplace_back("layers at most", std::to_string(max_layers));
  if (found.empty())
    probe.why = "there is no program unionfs: install it (Debian: apt-get install unionfs-fuse)";
  else
    probe.why = why_no_fuse();
  probe.usable = probe.why.empty();
  return probe;
}

bool UnionfsFuse::reads(UnionForm form) const { return form == UnionForm::unionfs_fuse; }

MountResult UnionfsFuse::mount(const MountPlan& plan) const {
  check(plan);
  // The program mounts by itself, and its own library is too old to take what was mounted before (libfuse 2).
  const FileDescriptor place(sys::openat(AT_FDCWD, plan.target.c_str(), O_PATH | O_DIRECTORY));
  if (!place) throw_errno(errno, "open", "mount point " + quoted(plan.target.native()));
  const path target = boost::filesystem::canonical(plan.target);
  DirectoryNames names(plan, ":=,\\");
  std::string branches;
  if (!plan.upper.empty()) branches = names.of(plan.upper) + "=RW";
  for (const path& lower : plan.lowers) branches += (branches.empty() ? "" : ":") + names.of(lower) + "=RO";
  std::string options = "cow,hide_meta_files,default_permissions,allow_other,fsname=" + plan.source;
  if (plan.read_only || plan.upper.empty()) options += ",ro";
  const ProgramResult result =
      run_fuse_program({unionfs, "-o", options, branches, target.native()}, names.kept(), on(plan), "unionfs-fuse");
  if (!is_mounted(plan, target))
    throw_error(errc::unsupported, "mount", on(plan),
                result.said.empty() ? "the program said nothing, and it isn't mounted" : result.said);
  return {"unionfs-fuse"};
}

void UnionfsFuse::unmount(std::string_view target) const { unmount_fuse(std::string(target), name); }

}  // namespace strata
