// A tree that a container has mounted while it is repaired.
#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include <strata/error.hpp>

#include "support/damage.hpp"
#include "support/mount_files.hpp"

#include <strata/verify.hpp>

using namespace strata;
using namespace strata::test;

namespace {

struct Fixture {
  Scratch scratch;
  LayerStore<> store{scratch.root() / "store", {.durability = Durability::none}};
  Mounter<> mounter{store};
  std::string tar = layer({dir("./"), dir("d"), file("d/a", "aaa"), file("b", "bbb")});
  ImportedLayer layer_ = store.import(MemorySource(tar));
  fs::path tree() const { return store.root() / "trees/sha256" / layer_.tree().hex(); }
  RepairResult repair() {
    MemorySource source(tar);
    return store.repair(layer_.id, {.source = &source});
  }
};

}  // namespace

TEST_CASE("a file is mended beneath a mount, which shows it at the latest when it is made again") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  write_at(f.tree() / "fs/d/a", 0, "?");
  auto root = f.mounter.mount(f.layer_.id, "c", {.read_only = true});
  CHECK(content_of(root.path() / "d/a") == "?aa");
  CHECK(f.repair().ok());
  root.unmount();
  root = f.mounter.mount(f.layer_.id, "c", {.read_only = true});
  CHECK(content_of(root.path() / "d/a") == "aaa");
}

TEST_CASE("a tree is made anew only while no container has it mounted") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  fs::remove(f.tree() / "recipe");
  auto root = f.mounter.mount(f.layer_.id, "c", {.read_only = true});
  try {
    f.repair();
    FAIL("it was replaced");
  } catch (const Error& error) {
    CHECK(error.code() == errc::in_use);
    CHECK_THAT(error.what(), Catch::Contains("'c'"));
  }
  CHECK_FALSE(f.store.verify(f.layer_.id).ok());
  root.unmount();
  CHECK(f.repair().rebuilt);
  CHECK(f.store.verify(f.layer_.id, {.level = VerifyLevel::proving}).ok());
  root = f.mounter.mount(f.layer_.id, "c", {.read_only = true});
  CHECK(content_of(root.path() / "d/a") == "aaa");
}
