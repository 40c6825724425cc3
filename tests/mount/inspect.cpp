#include <strata/inspect.hpp>
#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include "support/mount_files.hpp"
#include "support/other_process.hpp"
#include "support/overlay_plan.hpp"
#include "support/tar_builder.hpp"

using namespace strata;
using namespace strata::test;
using Method = KernelOverlay::Method;
namespace fs = boost::filesystem;

namespace {

std::optional<MountedOverlay> overlay_at(const Inspection& inspection, const fs::path& target) {
  for (const MountedOverlay& overlay : inspection.overlays)
    if (overlay.entry.target == target) return overlay;
  return std::nullopt;
}

}  // namespace

TEST_CASE("five hundred layers are shown, by whatever method they were mounted") {
  STRATA_NEEDS_NAMESPACE
  for (const auto method : {Method::descriptors, Method::names}) {
    OverlayPlan f;
    f.backend.first_method = method;
    f.plan.lowers.clear();
    for (int i = 0; i < 500; ++i) f.plan.lowers.push_back(f.scratch.directory("layer" + std::to_string(i)));
    const Mounted<KernelOverlay> mount(f.backend, f.plan);
    const auto overlay = overlay_at(inspect(), f.plan.target);
    REQUIRE(overlay);
    CHECK(overlay->lowers == f.plan.lowers);
    CHECK(overlay->upper == f.plan.upper);
    CHECK(overlay->work == f.plan.work);
    CHECK(overlay->here);
    CHECK(overlay->elsewhere.empty());
    CHECK(overlay->container.empty());
  }
}

TEST_CASE("layers are shown by their names, whatever bytes these have") {
  STRATA_NEEDS_NAMESPACE
  for (const auto method : {Method::descriptors, Method::names, Method::classic})
    for (const std::string odd :
         {"a:b", "a::b", ":", "a,b", "a\\b", "a\\:b", "a b\nc\td", "a=b#", "\xff\xfe", "\\054"}) {
      CAPTURE(static_cast<int>(method), odd);
      OverlayPlan f;
      f.backend.first_method = method;
      const fs::path home = f.scratch.directory(odd);
      for (const char* name : {"l1", "l2", "data", "upper", "work", "merged"}) fs::create_directory(home / name);
      f.plan.lowers = {home / "l1", home / "l2"};
      f.plan.data_only = {home / "data"};
      f.plan.upper = home / "upper";
      f.plan.work = home / "work";
      f.plan.target = home / "merged";
      const Mounted<KernelOverlay> mount(f.backend, f.plan);
      const auto overlay = overlay_at(inspect(), f.plan.target);
      REQUIRE(overlay);
      // By name, one with a backslash goes by its descriptor's.
      if (method == Method::names && odd.find('\\') != std::string::npos) continue;
      CHECK(overlay->lowers == f.plan.lowers);
      CHECK(overlay->data_only == f.plan.data_only);
      CHECK(overlay->upper == f.plan.upper);
      CHECK(overlay->work == f.plan.work);
    }
}

TEST_CASE("what another mount namespace has is shown, once, with a process that sees it") {
  STRATA_NEEDS_NAMESPACE
  OverlayPlan f, g;
  const Mounted<KernelOverlay> mount(f.backend, f.plan);
  const OtherProcess other([&] {
    if (::unshare(CLONE_NEWNS) != 0) return false;
    g.backend.mount(g.plan);
    return true;
  });
  REQUIRE(other.ready());
  const std::vector<std::uint64_t> process{static_cast<std::uint64_t>(other.pid())};
  const Inspection inspection = inspect();
  const auto theirs = overlay_at(inspection, g.plan.target);
  REQUIRE(theirs);
  CHECK_FALSE(theirs->here);
  CHECK(theirs->elsewhere == process);
  CHECK(theirs->upper == g.plan.upper);
  const auto both = overlay_at(inspection, f.plan.target);
  REQUIRE(both);
  CHECK(both->here);
  CHECK(both->elsewhere == process);
}

TEST_CASE("what an ordinary user may not see is said") {
  STRATA_NEEDS_NAMESPACE
  const Inspection inspection = inspect();
  if (!private_namespace().user) return;
  // Of process 1, and others, whose namespaces aren't this user's to look at.
  REQUIRE_FALSE(inspection.unread.empty());
  CHECK_THAT(inspection.unread.front(), Catch::Contains("process"));
}

TEST_CASE("a container's own inodes and bytes are counted") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  LayerStore<> store(scratch.root() / "store", {.durability = Durability::none});
  TarBuilder tar;
  tar.add({.path = "below", .content = "below"});
  tar.end();
  const Digest layer = store.import(MemorySource(tar.bytes)).id;
  auto root = Mounter<>(store).mount(layer, "c");
  const auto before = inspect(store);
  put(root.path() / "new", std::string(100000, 'x'));
  fs::create_hard_link(root.path() / "new", root.path() / "link");
  fs::create_directory(root.path() / "dir");
  fs::remove(root.path() / "below");
  const auto after = inspect(store);
  REQUIRE(after.containers.size() == 1);
  CHECK(after.containers[0].mounted);
  CHECK(after.containers[0].problem.empty());
  CHECK(after.containers[0].inodes - before.containers[0].inodes >= 2);  // a whiteout may be one that is shared
  CHECK(after.containers[0].bytes - before.containers[0].bytes >= 100000);
  CHECK(after.containers[0].bytes - before.containers[0].bytes < 200000);
  CHECK(overlay_at(after, root.path())->container == "c");
  CHECK(overlay_at(after, root.path())->lowers == store.lowers(store.get(layer)));
  root.unmount();
  const auto unmounted = inspect(store);
  CHECK_FALSE(unmounted.containers[0].mounted);
  CHECK_FALSE(overlay_at(unmounted, root.path()));
}
