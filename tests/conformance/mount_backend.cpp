// The mount backend suite, run by each model: KernelOverlay, by each way in which it can mount, and those that are no
// unions.
#include "conformance/mount_backend_suite.hpp"

#include <strata/mount/aufs.hpp>
#include <strata/mount/btrfs.hpp>
#include <strata/mount/copy.hpp>
#include <strata/mount/device_mapper.hpp>
#include <strata/mount/erofs.hpp>
#include <strata/mount/fuse_overlayfs.hpp>
#include <strata/mount/kernel_overlay.hpp>
#include <strata/mount/unionfs_fuse.hpp>

#include "support/loop_filesystem.hpp"

namespace {

strata::KernelOverlay overlay_from(strata::KernelOverlay::Method first) {
  strata::KernelOverlay backend;
  backend.first_method = first;
  return backend;
}

}  // namespace

/// At the beginning of a test that needs it: passes with a message where it can't work.
#define STRATA_NEEDS_BACKEND(backend)                        \
  if (const auto probe = (backend).probe(); !probe.usable) { \
    strata::test::unsupported("here: " + probe.why);         \
    WARN("skipped: " << probe.why);                          \
    return;                                                  \
  }

TEST_CASE("KernelOverlay, layers by descriptor, is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  strata::test::mount_backend_suite(overlay_from(strata::KernelOverlay::Method::descriptors));
}

TEST_CASE("KernelOverlay, layers by name, is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  strata::test::mount_backend_suite(overlay_from(strata::KernelOverlay::Method::names));
}

TEST_CASE("KernelOverlay, by mount(2), is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  strata::test::mount_backend_suite(overlay_from(strata::KernelOverlay::Method::classic));
}

TEST_CASE("Copy is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  strata::test::mount_backend_suite(strata::Copy{});
}

TEST_CASE("Btrfs is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  const strata::test::LoopFilesystem btrfs("btrfs");
  if (btrfs.place().empty()) {
    strata::test::unsupported("here: " + btrfs.why_not());
    WARN("skipped: " << btrfs.why_not());
    return;
  }
  strata::test::mount_backend_suite(strata::Btrfs{}, btrfs.place());
}

TEST_CASE("FuseOverlayfs is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  STRATA_NEEDS_BACKEND(strata::FuseOverlayfs{})
  strata::test::mount_backend_suite(strata::FuseOverlayfs{});
}

TEST_CASE("UnionfsFuse is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  STRATA_NEEDS_BACKEND(strata::UnionfsFuse{})
  strata::test::mount_backend_suite(strata::UnionfsFuse{});
}

TEST_CASE("Aufs is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  STRATA_NEEDS_BACKEND(strata::Aufs{})
  strata::test::mount_backend_suite(strata::Aufs{});
}

TEST_CASE("Erofs is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  STRATA_NEEDS_BACKEND(strata::Erofs{})
  const strata::test::LoopFilesystem ext4("ext4");
  if (ext4.place().empty()) {
    strata::test::unsupported("here: " + ext4.why_not());
    WARN("skipped: " << ext4.why_not());
    return;
  }
  strata::test::mount_backend_suite(strata::Erofs{}, ext4.place());
}

TEST_CASE("DeviceMapper with ext4 is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  const strata::DeviceMapper backend{{.data_size = 2ULL << 30}};
  STRATA_NEEDS_BACKEND(backend)
  strata::test::mount_backend_suite(backend, boost::filesystem::temp_directory_path());
}

TEST_CASE("DeviceMapper with xfs is a mount backend") {
  STRATA_NEEDS_NAMESPACE
  const strata::DeviceMapper backend{{.filesystem = strata::DeviceMapperOptions::Filesystem::xfs,
                                      .data_size = 2ULL << 30,
                                      .device_size = 512ULL << 20}};
  STRATA_NEEDS_BACKEND(backend)
  strata::test::mount_backend_suite(backend, boost::filesystem::temp_directory_path());
}
