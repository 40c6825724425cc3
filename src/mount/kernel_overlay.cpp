#include <strata/error.hpp>
#include <strata/mount/kernel_overlay.hpp>

#include "mount/host.hpp"
#include "mount/mount_table.hpp"
#include "mount/overlay_methods.hpp"
#include "mount/sys_mount.hpp"
#include "mount/unmount.hpp"

#include <linux/magic.h>

#include <algorithm>

namespace strata {
namespace {

using detail::KernelVersion;

std::string on(const boost::filesystem::path& target) { return "overlay on " + quoted(target.native()); }

void check_limits(const MountPlan& plan) {
  if (plan.lowers.size() > KernelOverlay::max_layers)
    throw_error(errc::limit_exceeded, "mount", on(plan.target),
                "it has " + std::to_string(plan.lowers.size()) + " layers, and overlay takes at most " +
                    std::to_string(KernelOverlay::max_layers),
                "merge some of the layers");
  if (plan.lowers.size() == 1 && plan.upper.empty())
    throw_error(errc::refused, "mount", on(plan.target), "a single layer without an upper is no overlay",
                "put an empty directory on top of it, or give it an upper");
}

/// The mount that `mount` is the root of, in the mount table.
std::optional<MountedEntry> entry_of(int mount) {
  const auto info = detail::read_text(("/proc/thread-self/fdinfo/" + std::to_string(mount)).c_str());
  const auto at = info ? info->find("mnt_id:") : std::string::npos;
  if (at == std::string::npos) return std::nullopt;
  const std::uint64_t id = std::strtoull(info->c_str() + at + 7, nullptr, 10);
  for (MountedEntry& entry : mount_table())
    if (entry.id == id) return std::move(entry);
  return std::nullopt;
}

/// What an option is where the table doesn't show it: the module's default.
std::string default_of(const std::string& option) {
  const auto text = detail::read_text(("/sys/module/overlay/parameters/" + option).c_str());
  return text && text->starts_with('Y') ? "on" : "off";
}

/// The kernel drops an option that it can't keep with a line in its log and no error: say so instead. Looks only where
/// such an option was asked for, since the table's line is long.
void check_options(int mount, const MountPlan& plan) {
  constexpr std::string_view may_be_dropped[] = {"index", "metacopy", "nfs_export", "redirect_dir"};
  std::optional<MountedEntry> entry;
  for (const auto& [name, asked] : detail::kernel_options(plan)) {
    if (std::find(std::begin(may_be_dropped), std::end(may_be_dropped), name) == std::end(may_be_dropped)) continue;
    if (asked != "on" && asked != "off") continue;
    if (!entry) entry = entry_of(mount);
    if (!entry) return;
    const auto shown = detail::mount_option(entry->options, name);
    const std::string found = shown ? std::string(*shown) : default_of(name);
    // redirect_dir=off is shown as what it amounts to: "follow" or "nofollow".
    if (found != asked && (asked == "on" || found == "on"))
      throw_error(errc::unsupported, "mount", on(plan.target),
                  "the kernel turned " + name + "=" + asked + " into " + name + "=" + found,
                  "leave the option out; in a user namespace, or on an upper without file handles, it can't be had");
  }
}

void detach(int mount) {
  // The descriptor's name reaches this very mount, whatever was mounted over it since.
  sys::umount2(("/proc/self/fd/" + std::to_string(mount)).c_str(), MNT_DETACH);
}

}  // namespace

bool KernelOverlay::reads(UnionForm form) const {
  if (form == UnionForm::overlay_user) return detail::kernel_version() >= KernelVersion{5, 11};
  return detail::in_initial_user_namespace();
}

MountResult KernelOverlay::mount(const MountPlan& plan) const {
  plan.validate();
  check_limits(plan);
  if (!reads(plan.form))
    throw_error(errc::unsupported, "mount", on(plan.target),
                plan.form == UnionForm::overlay_user
                    ? "layers in the form overlay-user need Linux 5.11"
                    : "deletions in layers in the form overlay-trusted can't be seen from a user namespace",
                plan.form == UnionForm::overlay_user ? "use a newer kernel, or mount as root a store in the other form"
                                                     : "mount as root, or use a store in the form overlay-user");

  std::optional<FileDescriptor> mount;
  MountResult result;
  if (first_method == Method::descriptors) {
    mount = detail::mount_by_context(plan, true);
    result.method = "fsopen, layers by descriptor";
  }
  if (!mount && first_method != Method::classic) {
    mount = detail::mount_by_context(plan, false);
    result.method = "fsopen, layers by name";
  }
  if (mount) {
    const FileDescriptor target(sys::openat(AT_FDCWD, plan.target.c_str(), O_PATH | O_DIRECTORY));
    if (!target) throw_errno(errno, "open", "mount point " + quoted(plan.target.native()));
    if (sys::move_mount(mount->get(), target.get()) != 0) throw_errno(errno, "attach", on(plan.target));
  } else {
    mount = detail::mount_classic(plan);
    result.method = "mount(2)";
  }
  try {
    check_options(mount->get(), plan);
  } catch (...) {
    detach(mount->get());
    throw;
  }
  return result;
}

void KernelOverlay::unmount(std::string_view target) const {
  const std::string where(target);
  {
    const FileDescriptor root(sys::openat(AT_FDCWD, where.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW));
    if (!root) throw_errno(errno, "unmount", on(where));
    struct statfs st {};
    if (sys::fstatfs(root.get(), st) != 0) throw_errno(errno, "unmount", on(where));
    if (static_cast<unsigned long>(st.f_type) != OVERLAYFS_SUPER_MAGIC)
      throw_error(errc::not_found, "unmount", on(where), "no overlay is mounted there");
  }
  detail::unmount_at(where, name);
}

MountProbe KernelOverlay::probe() const {
  MountProbe probe;
  probe.features.emplace_back("kernel", detail::kernel_release());
  const FileDescriptor context(sys::fsopen("overlay"));
  const int number = context ? 0 : errno;
  if (number == EPERM) {
    probe.why = "this process has no CAP_SYS_ADMIN: run it as root, or in a user and mount namespace: unshare -Urm";
    return probe;
  }
  if (number == ENODEV) {
    probe.why = "this kernel has no overlay filesystem: load its module (modprobe overlay)";
    return probe;
  }
  const auto add = [&](const char* feature, bool found) { probe.features.emplace_back(feature, found ? "yes" : "no"); };
  const FileDescriptor root(sys::openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
  add("new mount API", static_cast<bool>(context));
  add("layers by descriptor", context && sys::fsconfig_fd(context.get(), "lowerdir+", root.get()) == 0);
  add("layers by name", context && detail::takes_layers_by_name());
  add("overlay-trusted", reads(UnionForm::overlay_trusted));
  add("overlay-user", reads(UnionForm::overlay_user));
  probe.features.emplace_back("layers at most", std::to_string(max_layers));
  probe.usable = true;
  return probe;
}

}  // namespace strata
