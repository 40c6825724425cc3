// A pool of thin devices, in a directory of its own:
//
//   pool.json          what it was made with; there once its first device, which is empty, is complete
//   pool.lock          held by whoever changes what is in the pool
//   data, metadata     of a pool on files
//   devices/ID         a symbolic link to the record that names the device ID: written before the device is made
//
// A device whose link leads nowhere is one that was never completed, or whose record is gone with its layer or
// container: whoever works in the pool next deletes it. So a crash needs no repair, and a removal no help.
#pragma once

#include <strata/mount/device_mapper.hpp>

#include "mount/block_filesystem.hpp"
#include "mount/dm_control.hpp"
#include "store/lock.hpp"

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace strata::detail {

/// A record of a device: {"device": ID}.
std::string thin_record(std::uint32_t id);
/// nullopt: it isn't there. Throws errc::damaged.
std::optional<std::uint32_t> read_thin_record(int dir, const std::string& name);

/// The pool of a directory, active for as long as this or one of its devices is in use.
class ThinPool {
 public:
  /// The directory in a device's filesystem that has what the device is for: beside it mkfs puts lost+found.
  static constexpr const char* tree = "tree";

  /// Makes the pool where there is none, and deletes devices without a record.
  ThinPool(const boost::filesystem::path& directory, const DeviceMapperOptions& options, bool durable);

  BlockFilesystem filesystem() const { return filesystem_; }
  /// To be held from the making of a device until its record is there, or that of one that is being made into a layer's
  /// (`half_made` of flatten.hpp).
  Lock lock() const;
  /// A new device that has what `of` has, and will be named by `record`, a path from devices/. Needs the lock.
  std::uint32_t snapshot(std::uint32_t of, const boost::filesystem::path& record) const;
  /// Deletes the device that is half made, and its record. Needs the lock.
  void discard_half_made() const;

  /// Opens a device, which is active until its last user is gone.
  FileDescriptor hold(std::uint32_t id) const;
  /// Waits until it no longer is. Throws errc::in_use.
  void wait_for_end(std::uint32_t id) const;
  /// Mounts a device where nobody sees it, gives `fill` its tree, and takes it down when all that is on the disk.
  void fill(std::uint32_t id, const std::function<void(int tree)>& fill) const;

  /// What of the pool is used up, or broken, so that nothing can be written: throws an Error that says so.
  void check(const std::string& subject) const;

  /// Whether there are devices without a record in the pool of this directory, if there is one.
  static bool has_garbage(const boost::filesystem::path& directory);

 private:
  std::string name_of_device(std::uint32_t id) const { return prefix_ + std::to_string(id); }
  void send(const std::string& message, const std::string& subject) const;
  void make();
  void open(const DeviceMapperOptions& options);
  void activate(const DeviceMapperOptions& options);
  void remove(std::uint32_t id) const;
  void note(std::uint32_t id, const boost::filesystem::path& record) const;

  boost::filesystem::path directory_;
  bool durable_;
  FileDescriptor fd_, devices_;
  DmControl control_;
  std::string prefix_, pool_;
  BlockFilesystem filesystem_ = BlockFilesystem::ext4;
  std::uint64_t device_size_ = 0;
  std::uint32_t block_size_ = 0;
  FileDescriptor held_;
};

}  // namespace strata::detail
