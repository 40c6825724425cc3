// The same life of a container comes to the same layer, whatever mounts it.
#include <strata/mount/aufs.hpp>
#include <strata/mount/btrfs.hpp>
#include <strata/mount/copy.hpp>
#include <strata/mount/device_mapper.hpp>
#include <strata/mount/erofs.hpp>
#include <strata/mount/fuse_overlayfs.hpp>
#include <strata/mount/unionfs_fuse.hpp>

#include "support/container_life.hpp"
#include "support/loop_filesystem.hpp"

#include <cstdio>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

/// Lives it by one backend, if that works here, and compares. Exceptions are the caller's to name.
template <MountBackend Backend>
void compare(const fs::path& place, const LifeWishes& wishes, const std::string& expected) {
  const std::string name(Backend::name);
  if (const auto probe = Backend{}.probe(); !probe.usable) {
    std::printf("%s: not here: %s\n", name.c_str(), probe.why.c_str());
    return;
  }
  CAPTURE(name);
  std::string found;
  CHECK_NOTHROW(found = container_life<Backend>(place, wishes).diff_id);
  CHECK(found == expected);
  std::printf("%s: %s\n", name.c_str(), found.c_str());
}

}  // namespace

TEST_CASE("every backend comes to the same layer") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const LoopFilesystem btrfs("btrfs"), ext4("ext4");
  // A directory that is made again is opaque in a union, and has a whiteout for each name that is gone in what is none;
  // unionfs-fuse shows no extended attributes. What all can do comes first.
  const LifeWishes plain{.attributes = false, .made_again = false};
  const std::string expected = container_life(scratch.directory("overlay"), plain).diff_id;
  compare<FuseOverlayfs>(scratch.directory("fuse"), plain, expected);
  compare<UnionfsFuse>(scratch.directory("unionfs"), plain, expected);
  compare<Aufs>(scratch.directory("aufs"), plain, expected);
  compare<Copy>(scratch.directory("copy"), plain, expected);
  compare<DeviceMapper>(scratch.directory("device"), plain, expected);
  if (!btrfs.place().empty()) compare<Btrfs>(btrfs.place(), plain, expected);
  if (!ext4.place().empty()) compare<Erofs>(ext4.place(), plain, expected);
}

TEST_CASE("those that keep extended attributes come to the same layer with them") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const LoopFilesystem btrfs("btrfs"), ext4("ext4");
  const LifeWishes wishes{.attributes = true, .made_again = false};
  const std::string expected = container_life(scratch.directory("overlay"), wishes).diff_id;
  compare<FuseOverlayfs>(scratch.directory("fuse"), wishes, expected);
  compare<Aufs>(scratch.directory("aufs"), wishes, expected);
  compare<Copy>(scratch.directory("copy"), wishes, expected);
  compare<DeviceMapper>(scratch.directory("device"), wishes, expected);
  if (!btrfs.place().empty()) compare<Btrfs>(btrfs.place(), wishes, expected);
  if (!ext4.place().empty()) compare<Erofs>(ext4.place(), wishes, expected);
}

TEST_CASE("unions come to the same layer where a directory was made again, and so do those that are none") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const LoopFilesystem btrfs("btrfs"), ext4("ext4");
  const LifeWishes wishes{.attributes = false, .made_again = true};
  const std::string unions = container_life(scratch.directory("overlay"), wishes).diff_id;
  compare<FuseOverlayfs>(scratch.directory("fuse"), wishes, unions);
  compare<UnionfsFuse>(scratch.directory("unionfs"), wishes, unions);
  compare<Aufs>(scratch.directory("aufs"), wishes, unions);
  if (!ext4.place().empty()) compare<Erofs>(ext4.place(), wishes, unions);
  const std::string wholes = container_life<Copy>(scratch.directory("copy"), wishes).diff_id;
  compare<DeviceMapper>(scratch.directory("device"), wishes, wholes);
  if (!btrfs.place().empty()) compare<Btrfs>(btrfs.place(), wishes, wholes);
}
