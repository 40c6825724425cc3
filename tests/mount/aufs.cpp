// What AUFS is told; the mount itself needs a kernel that has it.
#include <strata/error.hpp>
#include <strata/mount/aufs.hpp>

#include "mount/aufs_branches.hpp"
#include "support/mount_files.hpp"

using namespace strata;
using namespace strata::test;

TEST_CASE("AUFS is given its branches one by one, topmost first") {
  MountPlan plan;
  plan.lowers = {"/l/top", "/l/base"};
  plan.upper = "/c/upper";
  plan.work = "/c/work";
  plan.target = "/m";
  CHECK(strata::detail::aufs_steps(plan) ==
        std::vector<std::string>{"br:/c/upper=rw", "append:/l/top=ro+wh", "append:/l/base=ro+wh"});
  plan.upper.clear();
  CHECK(strata::detail::aufs_steps(plan) == std::vector<std::string>{"noxino,br:/l/top=ro+wh", "append:/l/base=ro+wh"});
}

TEST_CASE("a path that AUFS would take for something else is refused by name") {
  MountPlan plan;
  plan.target = "/m";
  for (const char* name : {"/a:b", "/a,b", "/a=b"}) {
    plan.lowers = {name};
    const Error error = thrown([&] { strata::detail::aufs_steps(plan); });
    CHECK(error.code() == errc::unsupported);
    CHECK_THAT(error.what(), Catch::Contains(name));
  }
}

TEST_CASE("a kernel without AUFS is said to have none, and the remedy is named") {
  if (Aufs{}.probe().usable) return;
  CHECK_THAT(Aufs{}.probe().why, Catch::Contains("no AUFS") && Catch::Contains("overlay"));
  MountPlan plan;
  plan.lowers = {"/l"};
  plan.target = "/m";
  plan.form = UnionForm::aufs;
  CHECK(thrown([&] { Aufs{}.mount(plan); }).code() == errc::unsupported);
}
