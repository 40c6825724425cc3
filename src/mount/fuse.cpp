// Documentation/filesystems/fuse.rst of Linux 6.18; libfuse's fuse_session_mount(3): from 3.3 on a mount point
// "/dev/fd/N" is a /dev/fuse that the caller has opened and mounted.
#include "mount/fuse.hpp"

#include <strata/error.hpp>

#include "mount/host.hpp"
#include "mount/kernel_log.hpp"
#include "mount/sys_mount.hpp"
#include "mount/unmount.hpp"

#include <linux/magic.h>

#include <boost/filesystem/operations.hpp>

#include <cstring>

namespace strata::detail {
namespace {

constexpr const char* device = "/dev/fuse";
constexpr std::size_t longest_list = 64U << 10;  // a single argument of a program has at most 128 KiB

std::string remedy_of(int number) {
  if (number == ENOENT || number == ENODEV || number == ENXIO) return "load FUSE's module: modprobe fuse";
  if (number == EACCES || number == EPERM) return "let this user open /dev/fuse (chmod 0666 /dev/fuse)";
  return {};
}

/// A mount that isn't attached anywhere yet, and the end of it that is a program's.
struct Detached {
  FileDescriptor mount, channel;
};

Detached create(const MountPlan& plan, const std::string& subtype) {
  FileDescriptor channel(sys::openat(AT_FDCWD, device, O_RDWR));
  if (!channel) throw_errno(errno, "open", quoted(device), {}, remedy_of(errno));
  const FileDescriptor context(sys::fsopen("fuse"));
  const std::string subject = "fuse." + subtype + " on " + quoted(plan.target.native());
  if (!context)
    throw_errno(errno, "mount", subject, {},
                errno == EPERM ? "run it as root, or in a user and mount namespace of its own: unshare -Urm"
                               : remedy_of(errno));
  const auto set = [&](const char* key, const std::string& value) {
    if (sys::fsconfig_string(context.get(), key, value.c_str()) != 0)
      throw_errno(errno, "mount", subject, context_messages(context.get()));
  };
  set("source", plan.source);
  set("subtype", subtype);
  set("fd", std::to_string(channel.get()));
  set("rootmode", "40000");  // a directory, in octal
  set("user_id", std::to_string(::getuid()));
  set("group_id", std::to_string(::getgid()));
  for (const char* const flag : {"default_permissions", "allow_other"})
    if (sys::fsconfig_flag(context.get(), flag) != 0)
      throw_errno(errno, "mount", subject, context_messages(context.get()));
  if (sys::fsconfig_create(context.get()) != 0) throw_errno(errno, "mount", subject, context_messages(context.get()));
  FileDescriptor mount(sys::fsmount(context.get(), plan.read_only || plan.upper.empty() ? MOUNT_ATTR_RDONLY : 0));
  if (!mount) throw_errno(errno, "mount", subject);
  return {std::move(mount), std::move(channel)};
}

}  // namespace

std::string why_no_fuse() {
  if (!can_mount())
    return "this process has no CAP_SYS_ADMIN: run it as root, or in a user and mount namespace: unshare -Urm";
  if (FileDescriptor(sys::openat(AT_FDCWD, device, O_RDWR))) return {};
  const std::string why = std::strerror(errno), remedy = remedy_of(errno);
  return std::string(device) + " can't be opened (" + why + ")" + (remedy.empty() ? "" : ": " + remedy);
}

DirectoryNames::DirectoryNames(const MountPlan& plan, std::string_view special) : special_(special) {
  std::size_t length = 0;
  for (const auto& lower : plan.lowers) length += lower.size() + 4;
  by_descriptor_ = length > longest_list;
}

std::string DirectoryNames::of(const boost::filesystem::path& directory) {
  FileDescriptor fd(sys::openat(AT_FDCWD, directory.c_str(), O_PATH | O_DIRECTORY));
  if (!fd) throw_errno(errno, "open", "layer directory " + quoted(directory.native()));
  std::string name = boost::filesystem::absolute(directory).native();
  if (!by_descriptor_ && name.find_first_of(special_) == std::string::npos) return name;
  name = "/proc/self/fd/" + std::to_string(fd.get());
  kept_.push_back(std::move(fd));
  return name;
}

std::vector<int> DirectoryNames::kept() const {
  std::vector<int> numbers;
  for (const FileDescriptor& fd : kept_) numbers.push_back(fd.get());
  return numbers;
}

ProgramResult run_fuse_program(const std::vector<std::string>& program, const std::vector<int>& kept,
                               const std::string& subject, const std::string& package) {
  try {
    ProgramResult result = run_program(program, kept);
    // A host that takes its children itself has its status.
    if (result.status > 0)
      throw_error(errc::unsupported, "mount", subject,
                  program.front() + " ended with status " + std::to_string(result.status) +
                      (result.said.empty() ? ", and said nothing" : ": " + result.said));
    return result;
  } catch (const Error& error) {
    if (error.code() != errc::not_found) throw;
    throw_error(errc::unsupported, "mount", subject, "there is no program " + program.front(),
                "install it (Debian: apt-get install " + package + ")");
  }
}

void mount_fuse(const MountPlan& plan, const std::string& subtype, std::vector<std::string> program,
                std::vector<int> kept) {
  const FileDescriptor target(sys::openat(AT_FDCWD, plan.target.c_str(), O_PATH | O_DIRECTORY));
  if (!target) throw_errno(errno, "open", "mount point " + quoted(plan.target.native()));
  Detached made = create(plan, subtype);
  program.push_back("/dev/fd/" + std::to_string(made.channel.get()));
  kept.push_back(made.channel.get());
  const std::string subject = "fuse." + subtype + " on " + quoted(plan.target.native());
  const ProgramResult result = run_fuse_program(program, kept, subject, program.front());
  made.channel.reset();  // so that the program's end is the only one, and its death is seen
  struct statfs st {};
  if (sys::fstatfs(made.mount.get(), st) != 0)
    throw_errno(errno, "mount", subject,
                program.front() + " doesn't answer" + (result.said.empty() ? "" : ": " + result.said));
  if (sys::move_mount(made.mount.get(), target.get()) != 0) throw_errno(errno, "attach", subject);
}

void unmount_fuse(const std::string& target, std::string_view what) {
  {
    const std::string subject = std::string(what) + " on " + quoted(target);
    const FileDescriptor root(sys::openat(AT_FDCWD, target.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW));
    // Of a program that died nothing can be looked at.
    if (!root && errno != ENOTCONN) throw_errno(errno, "unmount", subject);
    struct statfs st {};
    if (root && sys::fstatfs(root.get(), st) == 0 && static_cast<unsigned long>(st.f_type) != FUSE_SUPER_MAGIC)
      throw_error(errc::not_found, "unmount", subject, "what is mounted there is no program's");
  }
  unmount_at(target, what);
}

}  // namespace strata::detail
