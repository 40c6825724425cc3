// A container lives on each filesystem that can hold an upper, and comes to the same layer on all of them.
#include "support/container_life.hpp"

#include <cstdio>
#include <cstdlib>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

TEST_CASE("on ext4, xfs and btrfs a container comes to the layer that it comes to on tmpfs") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const std::string expected = container_life(scratch.directory("tmpfs")).diff_id;
  std::printf("tmpfs: %s\n", expected.c_str());
  for (const std::string type : {"ext4", "xfs", "btrfs"}) {
    if (private_namespace().user) {
      std::printf("%s: skipped: only root can mount it\n", type.c_str());
      continue;
    }
    const fs::path image = scratch.root() / (type + ".img");
    const fs::path place = scratch.directory(type);
    put(image, "");
    fs::resize_file(image, 320U << 20);
    const std::string command = "PATH=$PATH:/usr/sbin:/sbin; { mkfs." + type + " -q " + image.native() +
                                " && mount -o loop " + image.native() + " " + place.native() + "; } > /dev/null 2>&1";
    if (std::system(command.c_str()) != 0) {
      std::printf("%s: skipped: no mkfs.%s, or no loop devices\n", type.c_str(), type.c_str());
      continue;
    }
    CAPTURE(type);
    std::string found;
    CHECK_NOTHROW(found = container_life(place).diff_id);
    CHECK(found == expected);
    std::printf("%s: %s\n", type.c_str(), found.c_str());
    CHECK(::umount2(place.c_str(), 0) == 0);
  }
}
