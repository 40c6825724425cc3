// The mount backend suite, run by each model: KernelOverlay, by each way in which it can mount.
#include "conformance/mount_backend_suite.hpp"

#include <strata/mount/kernel_overlay.hpp>

namespace {

strata::KernelOverlay overlay_from(strata::KernelOverlay::Method first) {
  strata::KernelOverlay backend;
  backend.first_method = first;
  return backend;
}

}  // namespace

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
