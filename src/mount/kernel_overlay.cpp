#include <strata/error.hpp>
#include <strata/mount/kernel_overlay.hpp>

#include "mount/host.hpp"
#include "mount/mount_table.hpp"
#include "mount/overlay_causes.hpp"
#include "mount/overlay_methods.hpp"
#include "mount/sys_mount.hpp"
#include "mount/unmount.hpp"

#include <linux/magic.h>

#include <algorithm>
#include <exception>
#include <thread>

namespace strata {
namespace {

using detail::KernelVersion;
using detail::subject_of;

std::string on(const boost::filesystem::path& target) { return "overlay on " + quoted(target.native()); }

void check_limits(const MountPlan& plan) {
  const std::size_t layers = plan.lowers.size() + plan.data_only.size();
  if (layers > KernelOverlay::max_layers)
    throw_error(errc::limit_exceeded, "mount", subject_of(plan),
                "it has " + std::to_string(layers) + " layers, and overlay takes at most " +
                    std::to_string(KernelOverlay::max_layers),
                "merge some of the layers");
  if (layers == 1 && plan.upper.empty())
    throw_error(errc::refused, "mount", subject_of(plan), "a single layer without an upper is no overlay",
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

/// The options that the kernel drops with a line in its log and no error, where it can't keep them.
bool may_be_lost(const std::pair<std::string, std::string>& option) {
  constexpr std::string_view names[] = {"index", "metacopy", "nfs_export", "redirect_dir"};
  return std::find(std::begin(names), std::end(names), option.first) != std::end(names) &&
         (option.second == "on" || option.second == "off");
}

bool may_lose_options(const MountPlan& plan) {
  const auto options = detail::kernel_options(plan);
  return std::any_of(options.begin(), options.end(), may_be_lost);
}

/// Says so instead. Looks only where such an option was asked for, since the table's line is long.
void check_options(int mount, const MountPlan& plan) {
  std::optional<MountedEntry> entry;
  for (const auto& option : detail::kernel_options(plan)) {
    if (!may_be_lost(option)) continue;
    if (!entry) entry = entry_of(mount);
    if (!entry) return;
    const std::string& name = option.first;
    const std::string& asked = option.second;
    const auto shown = detail::mount_option(entry->options, name);
    const std::string found = shown ? std::string(*shown) : default_of(name);
    // redirect_dir=off is shown as what it amounts to: "follow" or "nofollow".
    if (found != asked && (asked == "on" || found == "on"))
      throw_error(errc::unsupported, "mount", subject_of(plan),
                  "the kernel turned " + name + "=" + asked + " into " + name + "=" + found,
                  "leave the option out; in a user namespace, or on an upper without file handles, it can't be had");
  }
}

/// Attaches a mount in the mount namespace of a thread, which ends with it, for a look at the table there. Returns a
/// copy, detached again.
FileDescriptor checked_elsewhere(FileDescriptor mount, const MountPlan& plan) {
  FileDescriptor copy;
  std::exception_ptr failure;
  std::thread([&] {
    try {
      if (sys::unshare(CLONE_NEWNS) != 0) throw_errno(errno, "make", "a mount namespace");
      if (sys::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
        throw_errno(errno, "make private", "the mounts of a namespace");
      const FileDescriptor root(sys::openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
      if (!root || sys::move_mount(mount.get(), root.get()) != 0) throw_errno(errno, "attach", subject_of(plan));
      check_options(mount.get(), plan);
      copy = FileDescriptor(sys::open_tree_clone(mount.get()));
      if (!copy) throw_errno(errno, "detach", subject_of(plan));
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
  return copy;
}

void detach(int mount) {
  // The descriptor's name reaches this very mount, whatever was mounted over it since.
  sys::umount2(("/proc/self/fd/" + std::to_string(mount)).c_str(), MNT_DETACH);
}

void check_form(const KernelOverlay& backend, const MountPlan& plan) {
  if (backend.reads(plan.form)) return;
  if (plan.form == UnionForm::overlay_user)
    throw_error(errc::unsupported, "mount", subject_of(plan), "layers in the form overlay-user need Linux 5.11",
                "use a newer kernel, or mount as root a store in the other form");
  throw_error(errc::unsupported, "mount", subject_of(plan),
              "deletions in layers in the form overlay-trusted can't be seen from a user namespace",
              "mount as root, or use a store in the form overlay-user");
}

/// The mount by the new API. nullopt: there is only mount(2).
std::optional<FileDescriptor> unattached(const MountPlan& plan, KernelOverlay::Method first, MountResult& result) {
  using Method = KernelOverlay::Method;
  std::optional<FileDescriptor> mount;
  if (first == Method::descriptors) {
    mount = detail::mount_by_context(plan, true);
    result.method = "fsopen, layers by descriptor";
  }
  if (!mount && !plan.ids.empty())
    throw_error(
        errc::unsupported, "mount", subject_of(plan), "layers with an id map must be given by descriptor",
        "use Linux 6.13 or newer, without a sandbox that refuses fsopen; or map the ids when layers are applied");
  if (!mount && first != Method::classic) {
    mount = detail::mount_by_context(plan, false);
    result.method = "fsopen, layers by name";
  }
  return mount;
}

}  // namespace

bool KernelOverlay::reads(UnionForm form) const {
  if (form == UnionForm::overlay_user) return detail::kernel_version() >= KernelVersion{5, 11};
  return form == UnionForm::overlay_trusted && detail::in_initial_user_namespace();
}

MountResult KernelOverlay::mount(const MountPlan& plan) const {
  plan.validate();
  check_limits(plan);
  check_form(*this, plan);
  MountResult result;
  auto mount = unattached(plan, first_method, result);
  if (mount) {
    const FileDescriptor target(sys::openat(AT_FDCWD, plan.target.c_str(), O_PATH | O_DIRECTORY));
    if (!target) {
      const int number = errno;
      throw_errno(number, "open", "mount point " + quoted(plan.target.native()), {},
                  number == ENOENT || number == ENOTDIR ? "name a directory that exists" : "");
    }
    if (sys::move_mount(mount->get(), target.get()) != 0) throw_errno(errno, "attach", subject_of(plan));
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

FileDescriptor KernelOverlay::mount_detached(const MountPlan& plan) const {
  plan.validate_detached();
  check_limits(plan);
  check_form(*this, plan);
  MountResult result;
  auto mount = unattached(plan, first_method, result);
  if (!mount)
    throw_error(errc::unsupported, "mount", subject_of(plan), "this kernel can only mount at a directory",
                "use Linux 6.7 or newer, without a sandbox that refuses fsopen; or give a target");
  // What the kernel made of the options stands only in the table of a mount namespace.
  if (may_lose_options(plan)) *mount = checked_elsewhere(*std::move(mount), plan);
  return *std::move(mount);
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
  if (!detail::can_mount()) {
    probe.why =
        "this process has no CAP_SYS_ADMIN over its mount namespace: run it as root, or in a user and mount namespace: "
        "unshare -Urm";
    return probe;
  }
  if (number == EPERM && !detail::in_initial_user_namespace() && !reads(UnionForm::overlay_user)) {
    probe.why = "no overlay can be mounted in a user namespace before Linux 5.11: run as root, outside of one";
    return probe;
  }
  if (number == ENODEV) {
    probe.why = "this kernel has no overlay filesystem: load its module (modprobe overlay)";
    return probe;
  }
  const auto add = [&](const char* feature, bool found) { probe.features.emplace_back(feature, found ? "yes" : "no"); };
  const FileDescriptor root(sys::openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
  add("new mount API", static_cast<bool>(context));
  const bool by_descriptor = context && sys::fsconfig_fd(context.get(), "lowerdir+", root.get()) == 0;
  const bool by_name = context && detail::takes_layers_by_name();
  add("layers by descriptor", by_descriptor);
  add("layers by name", by_name);
  add("detached mounts", by_descriptor || by_name);
  add("data-only lowers", detail::kernel_version() >= KernelVersion{6, 5});
  add("lowers with an id map", by_descriptor);
  add("overlay-trusted", reads(UnionForm::overlay_trusted));
  add("overlay-user", reads(UnionForm::overlay_user));
  probe.features.emplace_back("layers at most", std::to_string(max_layers));
  probe.usable = true;
  return probe;
}

}  // namespace strata
