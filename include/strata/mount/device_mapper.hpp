// The mount backend over device mapper: thin snapshots, of any size in no time, with ext4 or xfs on them.
#pragma once

#include <strata/concepts.hpp>
#include <strata/export.hpp>
#include <strata/mount_plan.hpp>

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <string_view>

namespace strata {

/// What the pool is made of. All but the sizes of files counts when the pool is made, by the first mount, and stays.
struct DeviceMapperOptions {
  enum class Filesystem { ext4, xfs };
  Filesystem filesystem = Filesystem::ext4;
  /// Block devices, both of them; the first 4,096 bytes of `metadata` must be zero when the pool is made. Empty: two
  /// sparse files in plan.kept.
  boost::filesystem::path data = {};
  boost::filesystem::path metadata = {};
  /// Of the files: they grow to that when nothing of the pool is mounted, and never shrink. Devices that have grown are
  /// used as they are.
  std::uint64_t data_size = 100ULL << 30;
  std::uint64_t metadata_size = 1ULL << 30;
  std::uint64_t device_size =
      10ULL << 30;                       ///< what a container sees as the size of its filesystem; xfs: from 300 MiB on
  std::uint32_t block_size = 64U << 10;  ///< what is allocated and shared at a time: a multiple of 64 KiB
};

/// Keeps each layer, with all below it, on a thin device of a pool: made once, of a snapshot of the one below it and
/// the layer's tree. A container is a snapshot of its layer's, mounted at plan.upper. So the first mount of a chain
/// takes as long as its new files are many, and each further one the same small time, however large the chain is.
///
/// Needs root, the kernel's thin-pool target (module dm-thin-pool) and mkfs.ext4 or mkfs.xfs; with files, loop devices
/// too. Neither libdevmapper nor udev is used. Whatever it makes active (thin devices, the pool, loop devices) the
/// kernel takes down with its last user: nothing stays behind an unmount, or a process that was killed (but for what it
/// made in that very moment, which the next mount takes down).
///
/// Any number of threads and processes; the pool's directory plan.kept has a lock. A crash at any time leaves a device
/// that is complete and has a record, or one that no record names, which the next mount or sweep() deletes.
struct STRATA_API DeviceMapper {
  static constexpr std::string_view name = "devicemapper";
  static constexpr bool whole = true;
  static constexpr bool keeps = true;

  DeviceMapperOptions options = {};

  /// Whether the kernel has thin pools, this process the rights, and the system the program that makes the filesystem.
  MountProbe probe() const;
  bool reads(UnionForm form) const;
  /// plan.upper becomes a mount of its own, beside that at plan.target. The record of the container's device is
  /// plan.work/device.json: it goes with it. A pool that is full is an error with ENOSPC that says of what.
  MountResult mount(const MountPlan& plan) const;
  void unmount(std::string_view target) const;
  /// Deletes devices of containers and layers that are gone from the pool in `kept`.
  void sweep(const boost::filesystem::path& kept) const;
};

static_assert(MountBackend<DeviceMapper>);

}  // namespace strata
