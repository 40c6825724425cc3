#include <strata/any_mounter.hpp>
#include <strata/error.hpp>
#include <strata/layer_store.hpp>
#include <strata/mount/copy.hpp>

#include "support/import_entries.hpp"
#include "support/mount_files.hpp"

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

struct Fixture {
  Scratch scratch;
  LayerStore<> store{scratch.root() / "store", {.durability = Durability::none}};
  Digest layer = import_entries(store, {{.path = "kept", .content = "base"}});
};

}  // namespace

TEST_CASE("the best backend that works is chosen, and the others are named with why") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const AnyMounter mounter(f.store);
  CHECK(mounter.backend() == "overlay");
  CHECK(mounter.passed_over().empty());
  const auto choices = AnyMounter::choices(f.store);
  REQUIRE(choices.size() == AnyMounter::names().size());
  for (const BackendChoice& choice : choices) {
    CAPTURE(choice.name);
    CHECK(choice.usable == choice.why.empty());
    if (choice.name == "btrfs") CHECK_FALSE(choice.usable);
    if (choice.name == "copy") CHECK(choice.usable);
  }
}

TEST_CASE("a backend can be named; one that isn't known or can't be used is refused with the remedy") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  CHECK(AnyMounter(f.store, "copy").backend() == "copy");
  CHECK_THAT(thrown([&] { AnyMounter(f.store, "tape"); }).what(),
             Catch::Contains("overlay, ") && Catch::Contains("tape"));
  const Error error = thrown([&] { AnyMounter(f.store, "btrfs"); });
  CHECK(error.code() == errc::unsupported);
  CHECK_THAT(error.what(), Catch::Contains("isn't on btrfs"));
}

TEST_CASE("a container stays with the backend that made it") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  { Mounter<Copy>{f.store}.mount(f.layer, "c"); }
  const AnyMounter mounter(f.store);
  {
    const auto root = mounter.mount(f.layer, "c");
    CHECK(root.container().backend == "copy");
    CHECK(get(root.path() / "kept") == "base");
  }
  {
    auto root = mounter.mount(f.layer, "new");
    CHECK(root.container().backend == "overlay");
    root.keep();
  }
  CHECK(mounter.list().size() == 2);
  mounter.unmount("new");
  mounter.remove("new");
  mounter.remove("c");
  CHECK(mounter.list().empty());
}

TEST_CASE("where no backend can read the store, what asks none works, and a mount says why of each") {
  STRATA_NEEDS_NAMESPACE
  if (!private_namespace().user) {
    WARN("skipped: here is no user namespace");
    return;
  }
  const Scratch scratch;
  const fs::path root = scratch.root() / "store";
  Digest layer;
  {
    LayerStore<> own{root, {.durability = Durability::none}};
    layer = import_entries(own, {{.path = "kept", .content = "base"}});
  }
  // As if it had been made by root outside of the namespace.
  std::string format = get(root / "format");
  const std::string form = "overlay-user";
  format.replace(format.find(form), form.size(), "overlay-trusted");
  put(root / "format", format);
  LayerStore<> store{root};
  const AnyMounter mounter(store);
  CHECK(mounter.backend().empty());
  CHECK(mounter.list().empty());
  CHECK(thrown([&] { mounter.unmount("c"); }).code() == errc::not_found);
  const Error error = thrown([&] { mounter.mount(layer, "c"); });
  CHECK(error.code() == errc::unsupported);
  CHECK_THAT(error.what(), Catch::Contains("copy: ") && Catch::Contains("overlay-trusted"));
}
