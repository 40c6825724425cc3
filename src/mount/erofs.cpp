// Documentation/filesystems/erofs.rst of Linux 6.18: images mounted from a file since 6.12.
#include <strata/error.hpp>
#include <strata/mount/erofs.hpp>
#include <strata/mount/kernel_overlay.hpp>

#include "base/program.hpp"
#include "mount/host.hpp"
#include "mount/kernel_log.hpp"
#include "mount/sys_mount.hpp"
#include "store/lock.hpp"
#include "tree/directory.hpp"

#include <boost/filesystem/operations.hpp>

namespace strata {
namespace {

using namespace detail;
using boost::filesystem::path;

constexpr const char* mkfs = "mkfs.erofs";
constexpr const char* half_written = "making";

path image_of(const MountPlan& plan, const Digest& layer) {
  return plan.kept / std::string(layer.algorithm()) / layer.hex();
}

void make_image(const MountPlan& plan, const path& tree, const path& image) {
  const FileDescriptor kept = open_directory(plan.kept);
  const Lock alone = Lock::wait(kept.get(), "lock", Lock::Kind::exclusive);
  if (try_stat(AT_FDCWD, image.native())) return;  // another made it meanwhile
  const path making = boost::filesystem::absolute(plan.kept / half_written);
  const ProgramResult result = run_program({mkfs, "--quiet", making.native(), tree.native()}, {});
  if (result.status != 0)
    throw_error(errc::unsupported, "make an image of", quoted(tree.native()),
                result.status < 0
                    ? "how " + std::string(mkfs) + " ended isn't known: the host takes its children itself"
                    : std::string(mkfs) + " ended with status " + std::to_string(result.status) +
                          (result.said.empty() ? "" : ": " + result.said));
  const FileDescriptor file(sys::openat(kept.get(), half_written, O_RDONLY | O_NOFOLLOW));
  if (!file) throw_errno(errno, "open", quoted(making.native()), result.said);
  if (plan.durable && sys::fsync(file.get()) != 0) throw_errno(errno, "sync", quoted(making.native()));
  if (sys::renameat2(kept.get(), half_written, AT_FDCWD, image.c_str(), RENAME_NOREPLACE) != 0)
    throw_errno(errno, "put in place", quoted(image.native()));
}

/// The image's own mount, which nobody sees.
FileDescriptor mount_image(const path& image) {
  const std::string subject = "image " + quoted(image.native());
  const FileDescriptor context(sys::fsopen("erofs"));
  if (!context) throw_errno(errno, "mount", subject);
  const FileDescriptor file(sys::openat(AT_FDCWD, image.c_str(), O_RDONLY | O_NOFOLLOW));
  if (!file) throw_errno(errno, "open", subject);
  // A name of any length and bytes, by the one that its descriptor has.
  if (sys::fsconfig_string(context.get(), "source", ("/proc/self/fd/" + std::to_string(file.get())).c_str()) != 0 ||
      sys::fsconfig_create(context.get()) != 0) {
    const int number = errno;
    throw_errno(number, "mount", subject, context_messages(context.get()),
                number == ENOTBLK ? "put the store on ext4, xfs or btrfs, and use Linux 6.12 or newer" : "");
  }
  FileDescriptor mount(sys::fsmount(context.get(), MOUNT_ATTR_RDONLY));
  if (!mount) throw_errno(errno, "mount", subject);
  return mount;
}

}  // namespace

MountProbe Erofs::probe() const {
  MountProbe probe;
  const std::string found = find_program(mkfs);
  probe.features.emplace_back("program", found.empty() ? "none" : found);
  probe.features.emplace_back("layers at most", std::to_string(max_layers));
  const auto filesystems = read_text("/proc/filesystems");
  if (found.empty())
    probe.why = "there is no program mkfs.erofs: install it (Debian: apt-get install erofs-utils)";
  else if (!in_initial_user_namespace())
    probe.why = "EROFS can't be mounted in a user namespace: mount as root, or use another backend";
  else if (kernel_version() < KernelVersion{6, 13})
    probe.why = "it needs Linux 6.13, for images mounted from files and layers by descriptor: use a newer kernel";
  else if (!filesystems || filesystems->find("\terofs\n") == std::string::npos)
    probe.why = "this kernel has no EROFS: load its module (modprobe erofs)";
  else if (const MountProbe overlay = KernelOverlay{}.probe(); !overlay.usable)
    probe.why = overlay.why;
  probe.usable = probe.why.empty();
  return probe;
}

bool Erofs::reads(UnionForm form) const { return KernelOverlay{}.reads(form); }

MountResult Erofs::mount(const MountPlan& plan) const {
  plan.validate();
  if (plan.chain.empty() || plan.kept.empty())
    throw_error(errc::refused, "mount", "this plan", "it names no chain, or no directory to keep images in",
                "give both, or use the backend overlay");
  MountPlan stacked = plan;
  std::vector<FileDescriptor> images;  // until the overlay has its own
  const std::size_t unnamed = plan.lowers.size() - plan.chain.size();
  for (std::size_t i = 0; i < plan.chain.size(); ++i) {
    if (plan.control.stop.stop_requested()) throw_error(errc::cancelled, "mount", quoted(plan.target.native()));
    const path& tree = plan.lowers[unnamed + i];
    const path image = image_of(plan, plan.chain[i]);
    if (!try_stat(AT_FDCWD, image.native())) {
      open_directory(tree);  // throws the error that names it
      boost::system::error_code failed;
      boost::filesystem::create_directories(image.parent_path(), failed);
      if (failed) throw_errno(failed.value(), "create the directory", quoted(image.parent_path().native()));
      make_image(plan, boost::filesystem::absolute(tree), image);
    }
    images.push_back(mount_image(image));
    stacked.lowers[unnamed + i] = "/proc/self/fd/" + std::to_string(images.back().get());
  }
  MountResult result = KernelOverlay{}.mount(stacked);
  result.method = "images from files, " + result.method;
  return result;
}

void Erofs::unmount(std::string_view target) const { KernelOverlay{}.unmount(target); }

}  // namespace strata
