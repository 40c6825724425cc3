#include "mount/overlay_methods.hpp"

#include <strata/error.hpp>

#include "mount/host.hpp"
#include "mount/id_mapped.hpp"
#include "mount/kernel_log.hpp"
#include "mount/overlay_causes.hpp"
#include "mount/sys_mount.hpp"

#include <thread>

namespace strata::detail {
namespace {

using boost::filesystem::path;

constexpr std::size_t longest_value = 255;  // of an fsconfig string; one more byte is EINVAL without a message

bool is_read_only(const MountPlan& plan) { return plan.read_only || plan.upper.empty(); }

FileDescriptor open_layer(const path& directory) {
  FileDescriptor fd(sys::openat(AT_FDCWD, directory.c_str(), O_PATH | O_DIRECTORY));
  if (fd) return fd;
  const int number = errno;
  throw_errno(
      number, "open", "layer directory " + quoted(directory.native()), {},
      number == ENOENT || number == ENOTDIR ? "each layer, the upper and the work directory must be a directory" : "");
}

/// A filesystem context that is being given its options.
class Context {
 public:
  Context(const MountPlan& plan, KernelLog* log) : plan_(plan), log_(log), fd_(sys::fsopen("overlay")) {}

  explicit operator bool() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }

  void check(int result) {
    if (result != 0) fail(errno);
  }
  [[noreturn]] void fail(int number) {
    std::string said = context_messages(fd_.get());
    if (const std::string logged = log_ ? log_->overlay_lines() : ""; !logged.empty())
      said += (said.empty() ? "" : "; ") + logged;
    throw_overlay_error(number, plan_, said);
  }

 private:
  const MountPlan& plan_;
  KernelLog* log_;
  FileDescriptor fd_;
};

/// Whether a name can be given as it is: it isn't long or relative, and has nothing that "upperdir" unescapes.
bool is_plain(const path& name) {
  return name.is_absolute() && name.native().size() <= longest_value && name.native().find('\\') == std::string::npos;
}

/// A name that isn't plain goes by its descriptor's.
int set_by_name(int context, const char* key, const path& name, int fd) {
  return sys::fsconfig_string(context, key,
                              is_plain(name) ? name.c_str() : ("/proc/self/fd/" + std::to_string(fd)).c_str());
}

std::string escaped(const std::string& name, std::string_view special) {
  std::string text;
  for (const char c : name) {
    if (special.find(c) != std::string_view::npos) text += '\\';
    text += c;
  }
  return text;
}

/// mount(2)'s data, with layers as `text_of(path, bytes to escape)` writes them.
template <class TextOf>
std::string classic_data(const MountPlan& plan, TextOf text_of) {
  std::string data = "lowerdir=";
  for (std::size_t i = 0; i < plan.lowers.size(); ++i) data += (i ? ":" : "") + text_of(plan.lowers[i], "\\:,");
  for (const path& directory : plan.data_only) data += "::" + text_of(directory, "\\:,");
  if (!plan.upper.empty()) data += ",upperdir=" + text_of(plan.upper, "\\,") + ",workdir=" + text_of(plan.work, "\\,");
  for (const auto& [name, value] : kernel_options(plan)) data += "," + name + (value.empty() ? "" : "=" + value);
  return data;
}

std::string named_data(const MountPlan& plan) {
  return classic_data(plan, [](const path& name, const char* special) { return escaped(name.native(), special); });
}

std::optional<FileDescriptor> try_by_context(const MountPlan& plan, bool descriptors, KernelLog* log) {
  Context context(plan, log);
  if (!context) {
    const int number = errno;
    // A seccomp filter that doesn't know it says EPERM, or ENOSYS as kernels do that have none.
    if (number == ENOSYS || (number == EPERM && can_mount())) return std::nullopt;
    throw_overlay_error(number, plan, {});
  }
  if (!descriptors && !takes_layers_by_name()) return std::nullopt;
  context.check(sys::fsconfig_string(context.fd(), "source", plan.source.c_str()));

  // Layers are opened one at a time: 500 of them need one descriptor.
  const auto set_layer = [&](const char* key, const path& name) {
    const FileDescriptor layer = open_layer(name);
    return descriptors ? sys::fsconfig_fd(context.fd(), key, layer.get())
                       : set_by_name(context.fd(), key, name, layer.get());
  };
  const IdMapper mapper(plan.ids);
  std::vector<FileDescriptor> mapped;  // such a mount lasts as its descriptor does, until overlay has its own
  const auto set_lower = [&](const path& name) {
    if (!mapper) return set_layer("lowerdir+", name);
    mapped.push_back(mapper.map(open_layer(name).get(), name.native()));
    return sys::fsconfig_fd(context.fd(), "lowerdir+", mapped.back().get());
  };
  for (std::size_t i = 0; i < plan.lowers.size(); ++i) {
    // The first says whether the kernel takes descriptors. One that does takes names as well, each by a single call;
    // what is wrong with one, opening it tells.
    if (descriptors && i > 0 && !mapper && is_plain(plan.lowers[i]) &&
        sys::fsconfig_string(context.fd(), "lowerdir+", plan.lowers[i].c_str()) == 0)
      continue;
    const int result = set_lower(plan.lowers[i]);
    if (result != 0 && i == 0 && descriptors) {
      const int number = errno;
      // EBADF: 6.7 to 6.12; EINVAL: 6.5 and 6.6, which know no lowerdir+; EOPNOTSUPP: before.
      if (number == EBADF || number == EOPNOTSUPP || (number == EINVAL && !takes_layers_by_name())) return std::nullopt;
      errno = number;
    }
    context.check(result);
  }
  for (const path& directory : plan.data_only) context.check(set_layer("datadir+", directory));
  if (!plan.upper.empty()) {
    context.check(set_layer("upperdir", plan.upper));
    context.check(set_layer("workdir", plan.work));
  }
  for (const auto& [name, value] : kernel_options(plan))
    context.check(value.empty() ? sys::fsconfig_flag(context.fd(), name.c_str())
                                : sys::fsconfig_string(context.fd(), name.c_str(), value.c_str()));
  if (plan.read_only) context.check(sys::fsconfig_flag(context.fd(), "ro"));
  context.check(sys::fsconfig_create(context.fd()));

  FileDescriptor mount(sys::fsmount(context.fd(), is_read_only(plan) ? MOUNT_ATTR_RDONLY : 0));
  if (!mount) context.fail(errno);
  // The kernel answers a work directory that it can't prepare with success and a read-only mount.
  struct statfs st {};
  context.check(sys::fstatfs(mount.get(), st));
  if (!is_read_only(plan) && (st.f_flags & ST_RDONLY)) context.fail(EROFS);
  return mount;
}

}  // namespace

std::size_t classic_bytes(const MountPlan& plan) { return named_data(plan).size(); }

std::vector<std::pair<std::string, std::string>> kernel_options(const MountPlan& plan) {
  OverlayOptions options = plan.options;
  if (plan.form == UnionForm::overlay_user) options.userxattr = true;
  return options.spelled();
}

bool takes_layers_by_name() {
  const FileDescriptor scratch(sys::fsopen("overlay"));
  // Up to 6.4 overlay's options were one string, looked at only at the end: an option that doesn't exist was taken.
  // 6.5 and 6.6 look at each, and don't know this one.
  return scratch && sys::fsconfig_string(scratch.get(), "no_such_option", "") != 0 &&
         sys::fsconfig_string(scratch.get(), "lowerdir+", "/") == 0;
}

std::optional<FileDescriptor> mount_by_context(const MountPlan& plan, bool descriptors) {
  try {
    return try_by_context(plan, descriptors, nullptr);
  } catch (const Error&) {
    // To open the log at its end takes as long as half of the mount: so that waits until there is something to explain,
    // and the kernel is asked to say it again.
    KernelLog log;
    return try_by_context(plan, descriptors, &log);
  }
}

FileDescriptor mount_classic(const MountPlan& plan) {
  if (!plan.data_only.empty() && kernel_version() < KernelVersion{6, 5})
    throw_error(errc::unsupported, "mount", subject_of(plan), "this kernel has no data-only lowers",
                "use Linux 6.5 or newer");
  KernelLog log;
  const FileDescriptor target = open_layer(plan.target);
  const std::string target_name = "/proc/self/fd/" + std::to_string(target.get());
  const auto mount = [&](const std::string& data) {
    const unsigned long flags = is_read_only(plan) ? MS_RDONLY : 0;
    return sys::mount(plan.source.c_str(), target_name.c_str(), "overlay", flags, data.c_str()) == 0 ? 0 : errno;
  };

  bool absolute = plan.upper.empty() || (plan.upper.is_absolute() && plan.work.is_absolute());
  for (const auto* directories : {&plan.lowers, &plan.data_only})
    for (const auto& directory : *directories) absolute = absolute && directory.is_absolute();
  std::string data = named_data(plan);
  int number = 0;
  if (absolute && data.size() <= longest_classic) {
    number = mount(data);
  } else {
    std::vector<FileDescriptor> layers;
    data = classic_data(plan, [&](const path& name, const char*) {
      layers.push_back(open_layer(name));
      return std::to_string(layers.back().get());
    });
    if (data.size() > longest_classic)
      throw_error(errc::limit_exceeded, "mount", subject_of(plan),
                  "its layers don't fit in the one page that mount(2) takes",
                  "use Linux 6.7 or newer, or fewer layers");
    // Relative names count from the working directory, which belongs to the process: so a thread with one of its own.
    std::thread([&] {
      number = sys::unshare(CLONE_FS) == 0 && sys::chdir("/proc/self/fd") == 0 ? mount(data) : errno;
    }).join();
  }
  if (number != 0) {
    for (const auto* directories : {&plan.lowers, &plan.data_only})
      for (const auto& directory : *directories) open_layer(directory);  // throws the error that names it
    if (!plan.upper.empty()) {
      open_layer(plan.upper);
      open_layer(plan.work);
    }
    throw_overlay_error(number, plan, log.overlay_lines());
  }

  FileDescriptor mounted = open_layer(plan.target);
  struct statfs st {};
  if (sys::fstatfs(mounted.get(), st) == 0 && !is_read_only(plan) && (st.f_flags & ST_RDONLY)) {
    sys::umount2(("/proc/self/fd/" + std::to_string(mounted.get())).c_str(), MNT_DETACH);
    throw_overlay_error(EROFS, plan, log.overlay_lines());
  }
  return mounted;
}

}  // namespace strata::detail
