// A container lives on each filesystem that can hold an upper, and comes to the same layer on all of them.
#include "support/container_life.hpp"
#include "support/loop_filesystem.hpp"

#include <cstdio>

using namespace strata;
using namespace strata::test;

TEST_CASE("on ext4, xfs and btrfs a container comes to the layer that it comes to on tmpfs") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const std::string expected = container_life(scratch.directory("tmpfs")).diff_id;
  std::printf("tmpfs: %s\n", expected.c_str());
  for (const std::string type : {"ext4", "xfs", "btrfs"}) {
    const LoopFilesystem filesystem(type);
    if (filesystem.place().empty()) {
      std::printf("%s: skipped: %s\n", type.c_str(), filesystem.why_not().c_str());
      continue;
    }
    CAPTURE(type);
    std::string found;
    CHECK_NOTHROW(found = container_life(filesystem.place()).diff_id);
    CHECK(found == expected);
    std::printf("%s: %s\n", type.c_str(), found.c_str());
  }
}
