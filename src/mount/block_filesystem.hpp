// Filesystems on block devices: made, mounted where nobody sees them, and a directory of one attached to a place.
#pragma once

#include <strata/file_descriptor.hpp>
#include <strata/mount/device_mapper.hpp>

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <string>

namespace strata::detail {

using BlockFilesystem = DeviceMapperOptions::Filesystem;

const char* name_of(BlockFilesystem kind);
/// Where mkfs of that kind is; empty: nowhere.
std::string find_mkfs(BlockFilesystem kind);

/// A loop device over a file, which goes with its last user, of which the result is one.
FileDescriptor loop_device(const boost::filesystem::path& file);
/// Whether there is one over this file.
bool has_loop_device(int file);
/// Of an open block device, in bytes.
std::uint64_t block_device_size(int device, const std::string& shown);

/// An empty one, on a device that reads as zeros: most of it isn't written, neither now nor when it is used.
void make_filesystem(BlockFilesystem kind, int device, const std::string& node);

/// A mount of the open device that is attached nowhere, and goes with its descriptor (Linux 5.2). In a table, once it
/// is attached, its source is /dev/mapper/SOURCE.
FileDescriptor mount_detached(BlockFilesystem kind, int device, const std::string& source, bool read_only);

/// Attaches `directory` of a detached mount at `place`, by way of another place: before Linux 6.15 only what is
/// attached can be cloned. After a crash it may be mounted there.
void attach_directory(FileDescriptor mount, const std::string& directory, const boost::filesystem::path& by_way_of,
                      const boost::filesystem::path& place);

}  // namespace strata::detail
