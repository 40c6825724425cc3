// Mounts that a program serves.
#include <strata/layer_store.hpp>
#include <strata/mount/fuse_overlayfs.hpp>
#include <strata/mounter.hpp>

#include "support/import_entries.hpp"
#include "support/mount_files.hpp"

#include <csignal>
#include <cstdlib>

#include <unistd.h>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

/// Ends the processes whose command line has these words in it.
void kill_program(const std::string& words) {
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().native();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    fs::ifstream file(entry.path() / "cmdline");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    if (line.starts_with("fuse-overlayfs") && line.find(words) != std::string::npos)
      ::kill(static_cast<pid_t>(std::stol(name)), SIGKILL);
  }
}

}  // namespace

TEST_CASE("a mount whose program is killed says so, is taken down, and can be mounted again with what it held") {
  STRATA_NEEDS_NAMESPACE
  if (const auto probe = FuseOverlayfs{}.probe(); !probe.usable) {
    WARN("skipped: " << probe.why);
    return;
  }
  const Scratch scratch;
  LayerStore<> store{scratch.root() / "store", {.durability = Durability::none}};
  const Digest layer = import_entries(store, {{.path = "kept", .content = "base"}});
  const Mounter<FuseOverlayfs> mounter{store};
  auto root = mounter.mount(layer, "c");
  CHECK(root.works());
  put(root.path() / "new", "new");
  kill_program((store.root() / "containers/c").native());
  for (int waited = 0; root.works() && waited < 500; ++waited) ::usleep(10000);
  CHECK_FALSE(root.works());
  REQUIRE(mounter.list().size() == 1);
  CHECK(mounter.list()[0].mounted);
  CHECK_THAT(thrown([&] { mounter.mount(layer, "c"); }).what(), Catch::Contains("unmount it first"));
  root.unmount();
  CHECK_FALSE(mounter.list()[0].mounted);
  const auto again = mounter.mount(layer, "c");
  CHECK(names(again.path()) == "kept new");
}

TEST_CASE("lowers with marks that fuse-overlayfs doesn't know are refused by name") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  MountPlan plan;
  plan.lowers = {scratch.directory("top"), scratch.directory("base")};
  plan.upper = scratch.directory("upper");
  plan.work = scratch.directory("work");
  plan.target = scratch.directory("merged");
  fs::create_directories(plan.lowers[0] / "a/b");
  const UnionForm form = private_namespace().user ? UnionForm::overlay_user : UnionForm::overlay_trusted;
  set_attribute(plan.lowers[0] / "a/b", std::string(overlay_prefix(form)) + "redirect", "/c");
  const Error error = thrown([&] { FuseOverlayfs{}.mount(plan); });
  CHECK(error.code() == errc::unsupported);
  CHECK_THAT(error.what(), Catch::Contains("a/b") && Catch::Contains("redirect"));
}

TEST_CASE("where there is no program, or it fails, the error says what it said, and nothing stays mounted") {
  STRATA_NEEDS_NAMESPACE
  if (const auto probe = FuseOverlayfs{}.probe(); !probe.usable) {
    WARN("skipped: " << probe.why);
    return;
  }
  const Scratch scratch;
  MountPlan plan;
  plan.lowers = {scratch.directory("base")};
  plan.upper = scratch.directory("upper");
  plan.work = scratch.directory("work");
  plan.target = scratch.directory("merged");
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", scratch.root().c_str(), 1);
  CHECK_FALSE(FuseOverlayfs{}.probe().usable);
  Error error = thrown([&] { FuseOverlayfs{}.mount(plan); });
  CHECK(error.code() == errc::unsupported);
  CHECK_THAT(error.what(), Catch::Contains("install it"));
  put(scratch.root() / "fuse-overlayfs", "#!/bin/sh\necho it is broken >&2\nexit 3\n");
  fs::permissions(scratch.root() / "fuse-overlayfs", fs::perms(0755));
  error = thrown([&] { FuseOverlayfs{}.mount(plan); });
  CHECK_THAT(error.what(), Catch::Contains("it is broken") && Catch::Contains("status 3"));
  ::setenv("PATH", path.c_str(), 1);
  CHECK_FALSE(table_entry(plan.target));
}
