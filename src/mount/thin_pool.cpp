#include "mount/thin_pool.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "base/record.hpp"
#include "mount/flatten.hpp"
#include "mount/sys_mount.hpp"
#include "tree/directory.hpp"

#include <boost/filesystem/operations.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <vector>

namespace strata::detail {
namespace {

using boost::filesystem::path;

constexpr const char* record_name = "pool.json";
constexpr std::uint64_t sector = 512;
constexpr std::size_t superblock_size = 4096;
constexpr std::uint32_t empty_device = 0;

std::string shown(const path& directory) { return "the pool in " + quoted(directory.native()); }

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<std::uint32_t> numbers_in(int devices) {
  const FileDescriptor list(sys::openat(devices, ".", O_RDONLY | O_DIRECTORY));
  if (!list) throw_errno(errno, "list", "the devices of a pool");
  std::vector<std::uint32_t> numbers;
  for (const DirectoryEntry& entry : list_directory(list.get()))
    if (const auto number = number_of(entry.name)) numbers.push_back(*number);
  return numbers;
}

/// Whether the record of a device isn't there. One in a directory that can't be found either may be all the same.
bool lacks_record(int devices, std::uint32_t id) {
  const std::string name = std::to_string(id);
  struct stat st {};
  if (id == empty_device || sys::fstatat(devices, name.c_str(), st, 0) == 0 || !try_stat(devices, name)) return false;
  const path record = read_link(devices, name);
  const path home = record.parent_path().parent_path().parent_path();  // the directory of all containers
  return sys::fstatat(devices, (home / ".").c_str(), st, 0) == 0;
}

std::vector<std::uint32_t> garbage_in(int directory, int devices) {
  // First: a device that is completed meanwhile has its record by the time it is looked for.
  const auto making = read_thin_record(directory, half_made);
  std::vector<std::uint32_t> found;
  for (const std::uint32_t id : numbers_in(devices))
    if (id != making && lacks_record(devices, id)) found.push_back(id);
  return found;
}

std::string numbers(dev_t device) { return std::to_string(major(device)) + ":" + std::to_string(minor(device)); }

[[noreturn]] void throw_held(const path& what) {
  throw_errno(EBUSY, "open", quoted(what.native()), "a pool, or something else, still has it",
              "end what uses it, and try again");
}

/// A file of a pool, as large as is asked for.
FileDescriptor pool_file(int directory, const path& shown, const char* name, std::uint64_t size) {
  const FileDescriptor file(sys::openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  if (!file) throw_errno(errno, "open", quoted((shown / name).native()));
  if (stat_of(file.get()).size < size && sys::ftruncate(file.get(), static_cast<off_t>(size)) != 0)
    throw_errno(errno, "make room for", quoted((shown / name).native()));
  // A pool that goes is no longer known by its name while it still writes.
  if (!comes_true([&] { return !has_loop_device(file.get()); })) throw_held(shown / name);
  return loop_device(shown / name);
}

FileDescriptor open_block_device(const path& device) {
  // For a moment alone, for the same reason; device mapper itself would share it with another of its devices.
  const auto is_free = [&] {
    return FileDescriptor(sys::openat(AT_FDCWD, device.c_str(), O_RDWR | O_EXCL)) || errno != EBUSY;
  };
  if (!comes_true(is_free)) throw_held(device);
  FileDescriptor fd(sys::openat(AT_FDCWD, device.c_str(), O_RDWR));
  if (!fd) throw_errno(errno, "open", "block device " + quoted(device.native()));
  if (!S_ISBLK(stat_of(fd.get()).mode))
    throw_error(errc::bad_argument, "use", quoted(device.native()), "it is no block device");
  return fd;
}

}  // namespace

std::string thin_record(std::uint32_t id) { return nlohmann::ordered_json{{"device", id}}.dump(1, '\t') + "\n"; }

std::optional<std::uint32_t> read_thin_record(int dir, const std::string& name) {
  const auto text = read_small_file(dir, name);
  if (!text) return std::nullopt;
  const Record record(*text, "read", quoted(name));
  const std::uint64_t id = record.number("device");
  if (id >= 1U << 24) record.damaged("device", "it is too large");
  return static_cast<std::uint32_t>(id);
}

ThinPool::ThinPool(const path& directory, const DeviceMapperOptions& options, bool durable)
    : directory_(directory), durable_(durable), fd_(open_directory(directory)) {
  make_directory(fd_.get(), "devices");
  devices_ = open_beneath(fd_.get(), "devices", O_RDONLY | O_DIRECTORY);
  const Metadata place = stat_of(fd_.get());
  std::array<char, 64> name;
  std::snprintf(name.data(), name.size(), "strata-%jx-%jx-", static_cast<std::uintmax_t>(place.device),
                static_cast<std::uintmax_t>(place.inode));
  prefix_ = name.data();
  pool_ = prefix_ + "pool";
  const Lock alone = lock();
  // What a killed process made and didn't come to open; thin devices come before the pool that they are in.
  for (const std::string& stale : control_.names(prefix_))
    if (stale != pool_) control_.remove(stale, false);
  open(options);
  // Nobody is at it any more.
  if (const auto idle = Lock::attempt(fd_.get(), flatten_lock, Lock::Kind::exclusive)) discard_half_made();
  for (const std::uint32_t id : garbage_in(fd_.get(), devices_.get())) remove(id);
}

Lock ThinPool::lock() const { return Lock::wait(fd_.get(), "pool.lock", Lock::Kind::exclusive); }

void ThinPool::open(const DeviceMapperOptions& options) {
  if (const auto text = read_small_file(fd_.get(), record_name)) {
    const Record record(*text, "read", quoted((directory_ / record_name).native()));
    if (record.number("version") != 1) record.damaged("version", "it is another than 1");
    const std::string& kind = record.text("filesystem");
    if (kind != "ext4" && kind != "xfs") record.damaged("filesystem", "it is neither ext4 nor xfs");
    filesystem_ = kind == "xfs" ? BlockFilesystem::xfs : BlockFilesystem::ext4;
    device_size_ = record.number("device_size");
    block_size_ = static_cast<std::uint32_t>(record.number("block_size"));
    if (record.flag("files") != options.data.empty())
      throw_error(errc::refused, "open", shown(directory_),
                  options.data.empty() ? "it is on block devices" : "it is on files",
                  options.data.empty() ? "say which they are" : "name no devices");
    activate(options);
    return;
  }
  filesystem_ = options.filesystem;
  device_size_ = options.device_size / sector * sector;
  block_size_ = options.block_size;
  // What an earlier attempt left of it is begun anew.
  if (!control_.remove_and_wait(pool_)) throw_errno(EBUSY, "make", shown(directory_));
  if (options.data.empty()) {
    for (const char* file : {"data", "metadata"}) sys::unlinkat(fd_.get(), file, 0);
  } else {
    const FileDescriptor metadata = open_block_device(options.metadata);
    std::string head(superblock_size, '\0');
    const bool ours = try_stat(devices_.get(), std::to_string(empty_device)).has_value();
    if (!ours) {
      if (sys::pread(metadata.get(), head.data(), head.size(), 0) < 0)
        throw_errno(errno, "read", quoted(options.metadata.native()));
      if (head.find_first_not_of('\0') != std::string::npos)
        throw_error(errc::refused, "make", shown(directory_),
                    quoted(options.metadata.native()) + " has something on it",
                    "if nobody needs that, write zeros over its first 4096 bytes");
    }
    if (sys::pwrite(metadata.get(), std::string(superblock_size, '\0').data(), superblock_size, 0) < 0 ||
        sys::fsync(metadata.get()) != 0)
      throw_errno(errno, "write", quoted(options.metadata.native()));
  }
  note(empty_device, "../" + std::string(record_name));
  activate(options);
  make();
  const nlohmann::ordered_json json = {{"version", 1},
                                       {"filesystem", name_of(filesystem_)},
                                       {"device_size", device_size_},
                                       {"block_size", block_size_},
                                       {"files", options.data.empty()}};
  const std::string draft = std::string(record_name) + "." + random_name();
  write_small_file(fd_.get(), draft, json.dump(1, '\t') + "\n");
  if (durable_) sync_file(fd_.get(), draft);
  if (sys::renameat2(fd_.get(), draft.c_str(), fd_.get(), record_name, 0) != 0)
    throw_errno(errno, "write", quoted((directory_ / record_name).native()));
  if (durable_) sync_directory(fd_.get(), directory_.native());
}

void ThinPool::activate(const DeviceMapperOptions& options) {
  const auto on = [&](const FileDescriptor& data, const FileDescriptor& metadata) {
    // Writes fail at once when there is no room; else they would wait for some for a minute.
    control_.create(pool_, {block_device_size(data.get(), "the pool's data") / sector, "thin-pool",
                            numbers(stat_of(metadata.get()).rdev) + " " + numbers(stat_of(data.get()).rdev) + " " +
                                std::to_string(block_size_ / sector) + " 0 1 error_if_no_space"});
  };
  held_ = hold_device(control_, pool_, [&] {
    if (options.data.empty())
      on(pool_file(fd_.get(), directory_, "data", options.data_size),
         pool_file(fd_.get(), directory_, "metadata", options.metadata_size));
    else
      on(open_block_device(options.data), open_block_device(options.metadata));
  });
}

void ThinPool::make() {
  control_.message(pool_, "delete 0");
  send("create_thin 0", "the first device");
  {
    const FileDescriptor device = hold(empty_device);
    make_filesystem(filesystem_, device.get(), name_of_device(empty_device));
    const FileDescriptor mount = mount_detached(filesystem_, device.get(), name_of_device(empty_device), false);
    make_directory(mount.get(), tree);
    const FileDescriptor made(sys::openat(mount.get(), tree, O_RDONLY | O_DIRECTORY));
    if (!made || sys::fchmod(made.get(), 0755) != 0 || sys::syncfs(made.get()) != 0)
      throw_errno(errno, "make", shown(directory_));
  }
  wait_for_end(empty_device);
}

void ThinPool::note(std::uint32_t id, const path& record) const {
  const std::string name = std::to_string(id);
  if (sys::symlinkat(record.c_str(), devices_.get(), name.c_str()) != 0 && errno != EEXIST)
    throw_errno(errno, "note a device of", shown(directory_));
  if (durable_) sync_directory(devices_.get(), directory_.native());
}

void ThinPool::send(const std::string& message, const std::string& subject) const {
  if (const int number = control_.message(pool_, message))
    throw_errno(number, "make", subject, "in " + shown(directory_) + ": " + message);
}

std::uint32_t ThinPool::snapshot(std::uint32_t of, const path& record) const {
  check("a device");
  const auto taken = numbers_in(devices_.get());
  const std::uint32_t id = *std::ranges::max_element(taken) + 1;
  note(id, record);
  send("create_snap " + std::to_string(id) + " " + std::to_string(of), "a snapshot");
  return id;
}

void ThinPool::remove(std::uint32_t id) const {
  // What is in use is left for the next time.
  if (!control_.remove_and_wait(name_of_device(id))) return;
  int number = 0;
  const bool deleted = comes_true([&] {
    number = control_.message(pool_, "delete " + std::to_string(id));
    return number != EBUSY;
  });
  if (!deleted) return;
  if (number != 0 && number != ENODATA)
    throw_errno(number, "delete", "device " + std::to_string(id), shown(directory_));
  sys::unlinkat(devices_.get(), std::to_string(id).c_str(), 0);
}

void ThinPool::discard_half_made() const {
  std::optional<std::uint32_t> id;
  try {
    id = read_thin_record(fd_.get(), half_made);
  } catch (const Error& error) {
    if (error.code() != errc::damaged) throw;  // a power cut: its device is one without a record
  }
  if (id && lacks_record(devices_.get(), *id)) remove(*id);
  sys::unlinkat(fd_.get(), half_made, 0);
}

FileDescriptor ThinPool::hold(std::uint32_t id) const {
  const std::string name = name_of_device(id);
  return hold_device(control_, name, [&] {
    control_.create(name,
                    {device_size_ / sector, "thin", numbers(stat_of(held_.get()).rdev) + " " + std::to_string(id)});
  });
}

void ThinPool::wait_for_end(std::uint32_t id) const {
  if (!control_.remove_and_wait(name_of_device(id))) throw_errno(EBUSY, "take down", "device " + name_of_device(id));
}

void ThinPool::fill(std::uint32_t id, const std::function<void(int)>& work) const {
  {
    const FileDescriptor device = hold(id);
    const FileDescriptor mount = mount_detached(filesystem_, device.get(), name_of_device(id), false);
    const FileDescriptor directory(sys::openat(mount.get(), tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!directory) throw_errno(errno, "open", "the tree of device " + name_of_device(id));
    work(directory.get());
    // Always: that the device took what was written nobody would hear otherwise.
    if (sys::syncfs(directory.get()) != 0) throw_errno(errno, "sync", "device " + name_of_device(id));
  }
  wait_for_end(id);
}

void ThinPool::check(const std::string& subject) const {
  const std::string status = control_.status(pool_);
  unsigned long long metadata_used = 0, metadata_size = 0, data_used = 0, data_size = 0;
  const bool known = std::sscanf(status.c_str(), "%*u %llu/%llu %llu/%llu", &metadata_used, &metadata_size, &data_used,
                                 &data_size) == 4;
  const auto full = [&](const char* what, unsigned long long used, unsigned long long size, const char* option) {
    throw_errno(ENOSPC, "make", subject,
                shown(directory_) + " is full: of its " + what + " " + std::to_string(used) + " of " +
                    std::to_string(size) + " blocks are used",
                std::string("remove containers or layers, or unmount all and give it more (") + option + ")");
  };
  if (!known || status.find("needs_check") != std::string::npos)
    throw_errno(EIO, "make", subject, shown(directory_) + " is damaged or ran out of metadata: " + status,
                "unmount all, and repair its metadata (thin_check --clear-needs-check-flag, thin_repair)");
  if (data_used >= data_size || status.find("out_of_data_space") != std::string::npos)
    full("data", data_used, data_size, "data_size");
  // The kernel gives up when the last block is gone, and then wants a repair.
  if (metadata_used >= metadata_size - metadata_size / 16)
    full("metadata", metadata_used, metadata_size, "metadata_size");
}

bool ThinPool::has_garbage(const path& directory) {
  const FileDescriptor fd(sys::openat(AT_FDCWD, directory.c_str(), O_RDONLY | O_DIRECTORY));
  if (!fd || !try_stat(fd.get(), record_name)) return false;
  const FileDescriptor devices = try_open_beneath(fd.get(), "devices", O_RDONLY | O_DIRECTORY);
  return devices && !garbage_in(fd.get(), devices.get()).empty();
}

}  // namespace strata::detail
