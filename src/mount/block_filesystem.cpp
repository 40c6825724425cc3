#include "mount/block_filesystem.hpp"

#include <strata/error.hpp>

#include "base/program.hpp"
#include "mount/dm_control.hpp"
#include "mount/kernel_log.hpp"
#include "mount/sys_mount.hpp"
#include "tree/directory.hpp"

#include <linux/fs.h>
#include <linux/loop.h>

#include <vector>

namespace strata::detail {
namespace {

constexpr const char* loop_control = "/dev/loop-control";

template <class Argument>
int ioctl(int fd, unsigned long request, Argument argument) {
  return sys::once("block_ioctl", [&] { return ::ioctl(fd, request, argument); });
}

}  // namespace

const char* name_of(BlockFilesystem kind) { return kind == BlockFilesystem::ext4 ? "ext4" : "xfs"; }

std::string find_mkfs(BlockFilesystem kind) {
  const std::string name = std::string("mkfs.") + name_of(kind);
  std::string found = find_program(name);
  for (const char* folder : {"/usr/sbin/", "/sbin/"})  // a service may have neither in its PATH
    if (found.empty() && ::access((folder + name).c_str(), X_OK) == 0) found = folder + name;
  return found;
}

FileDescriptor loop_device(const boost::filesystem::path& file) {
  const std::string subject = "loop device for " + quoted(file.native());
  const FileDescriptor backing(sys::openat(AT_FDCWD, file.c_str(), O_RDWR | O_NOFOLLOW));
  if (!backing) throw_errno(errno, "open", quoted(file.native()));
  const FileDescriptor control(sys::openat(AT_FDCWD, loop_control, O_RDWR));
  if (!control)
    throw_errno(errno, "open", quoted(loop_control), subject,
                errno == ENOENT ? "load its module (modprobe loop), or give block devices" : "loop devices need root");
  for (;;) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE, 0);
    if (number < 0) throw_errno(errno, "make", subject);
    const std::string node = "/dev/loop" + std::to_string(number);
    FileDescriptor device(sys::openat(AT_FDCWD, node.c_str(), O_RDWR));
    if (!device) throw_errno(errno, "open", quoted(node), subject);
    loop_config config{};
    config.fd = static_cast<__u32>(backing.get());
    // Direct, where the filesystem can do that: else what is read would be in memory twice.
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
    file.native().copy(reinterpret_cast<char*>(config.info.lo_file_name), LO_NAME_SIZE - 1);
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return device;
    if (errno != EBUSY) throw_errno(errno, "make", subject);  // else another took it
  }
}

bool has_loop_device(int file) {
  const Metadata wanted = stat_of(file);
  const FileDescriptor devices = open_directory("/sys/block");
  for (const DirectoryEntry& entry : list_directory(devices.get())) {
    if (!entry.name.starts_with("loop")) continue;
    const FileDescriptor device(sys::openat(AT_FDCWD, ("/dev/" + entry.name).c_str(), O_RDONLY));
    loop_info64 info{};
    if (device && ioctl(device.get(), LOOP_GET_STATUS64, &info) == 0 && info.lo_inode == wanted.inode &&
        info.lo_device == wanted.device)
      return true;
  }
  return false;
}

std::uint64_t block_device_size(int device, const std::string& shown) {
  std::uint64_t size = 0;
  if (ioctl(device, BLKGETSIZE64, &size) != 0) throw_errno(errno, "ask for the size of", quoted(shown));
  return size;
}

void make_filesystem(BlockFilesystem kind, int device, const std::string& node_name) {
  const std::string program = find_mkfs(kind);
  const std::string subject = std::string("a filesystem of kind ") + name_of(kind);
  if (program.empty())
    throw_error(errc::unsupported, "make", subject, std::string("there is no program mkfs.") + name_of(kind),
                kind == BlockFilesystem::ext4 ? "install e2fsprogs" : "install xfsprogs");
  const BlockNode node(stat_of(device).rdev, node_name);
  // Unused inode tables and the journal stay unwritten; the first is seen to at mount as well.
  std::vector<std::string> command{program,
                                   "-q",
                                   "-F",
                                   "-b",
                                   "4096",
                                   "-I",
                                   "256",
                                   "-m",
                                   "0",
                                   "-E",
                                   "nodiscard,lazy_itable_init=1,lazy_journal_init=1"};
  if (kind == BlockFilesystem::xfs) command = {program, "-q", "-f", "-K"};
  command.push_back(node.path());
  // The program of a process that was killed meanwhile may still be at it. Where it doesn't end, this one says so.
  (void)comes_true(
      [&] { return FileDescriptor(sys::openat(AT_FDCWD, node.path().c_str(), O_RDWR | O_EXCL)) || errno != EBUSY; });
  const ProgramResult result = run_program(command, {});
  // A host that takes its children itself leaves no status: then the mount says.
  if (result.status > 0) throw_errno(EIO, "make", subject, result.said);
}

FileDescriptor mount_detached(BlockFilesystem kind, int device, const std::string& source, bool read_only) {
  const BlockNode node(stat_of(device).rdev, source);
  const std::string subject = std::string(name_of(kind)) + " of " + quoted(node.path());
  const FileDescriptor context(sys::fsopen(name_of(kind)));
  if (!context)
    throw_errno(errno, "mount", subject, {},
                errno == EPERM ? "a mount of a device needs root"
                               : "this kernel lacks the filesystem, or the calls for it (Linux 5.2)");
  // ext4 would write its unused inode tables in the background, in each snapshot anew; of xfs all have one UUID.
  const bool configured =
      sys::fsconfig_string(context.get(), "source", node.path().c_str()) == 0 &&
      sys::fsconfig_flag(context.get(), kind == BlockFilesystem::ext4 ? "noinit_itable" : "nouuid") == 0 &&
      sys::fsconfig_create(context.get()) == 0;
  FileDescriptor mount(configured ? sys::fsmount(context.get(), read_only ? MOUNT_ATTR_RDONLY : 0) : -1);
  if (const int number = errno; !mount) throw_errno(number, "mount", subject, context_messages(context.get()));
  return mount;
}

void attach_directory(FileDescriptor mount, const std::string& directory, const boost::filesystem::path& by_way_of,
                      const boost::filesystem::path& place) {
  const FileDescriptor way = open_directory(by_way_of);
  if (sys::move_mount(mount.get(), way.get()) != 0) throw_errno(errno, "mount on", quoted(by_way_of.native()));
  const FileDescriptor clone(sys::open_tree_clone_at(mount.get(), directory.c_str()));
  const int number = errno;
  mount.reset();
  sys::umount2(by_way_of.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  if (!clone) throw_errno(number, "mount", quoted(directory), "of the device for " + quoted(place.native()));
  const FileDescriptor target = open_directory(place);
  if (sys::move_mount(clone.get(), target.get()) != 0) throw_errno(errno, "mount on", quoted(place.native()));
}

}  // namespace strata::detail
