#include <strata/layer_store.hpp>

#include "support/catch.hpp"
#include "support/dying_process.hpp"
#include "support/errors.hpp"
#include "support/small_store.hpp"

#include <boost/filesystem/fstream.hpp>
#include <boost/filesystem/operations.hpp>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;
using std::chrono::hours;
using std::chrono::seconds;

TEST_CASE("A lease keeps layers, and all below them, as long as it is held") {
  SmallStore f;
  const Digest base = f.import("base");
  const Digest top = f.import("top", {.parent = base});
  {
    const Lease lease = f.store.lease();
    lease.add(top);
    CHECK(f.gc().layers.empty());
    REQUIRE(f.store.leases().size() == 1);
    CHECK(f.store.leases()[0].layers == std::vector{top});
    CHECK(f.store.leases()[0].live);
    CHECK(fails_with(errc::in_use, [&] { f.store.remove(top); }));
  }
  CHECK(f.store.leases().empty());
  CHECK(f.gc().layers == std::vector{top, base});
}

TEST_CASE("An import can put its layer into a lease in the moment that it is stored") {
  SmallStore f;
  const Lease lease = f.store.lease({.name = "pull"});
  const Digest one = f.import("one", {.lease = &lease});
  CHECK(f.gc().layers.empty());
  CHECK(f.store.leases()[0].layers == std::vector{one});
  const Digest again = f.import("one", {.lease = &lease});  // that it is stored already makes no difference
  CHECK(again == one);
}

TEST_CASE("A lease dies with its process, unless it survives") {
  SmallStore f;
  const Digest one = f.import("one"), two = f.import("two");
  in_dying_process([&] {
    static const Lease dies = f.store.lease({.name = "dies"});
    dies.add(one);
    static const Lease survives = f.store.lease({.name = "survives", .survives = true});
    survives.add(two);
  });
  const auto leases = f.store.leases();
  REQUIRE(leases.size() == 2);
  CHECK_FALSE(leases[0].live);
  CHECK(leases[1].live);
  const auto left = f.store.leftovers();
  REQUIRE(left.size() == 1);
  CHECK(left[0].kind == Leftover::Kind::lease);
  CHECK(left[0].name == "dies");

  const GcResult result = f.gc();
  CHECK(result.layers == std::vector{one});
  CHECK(result.leases == std::vector<std::string>{"dies"});
  CHECK(f.store.leases().size() == 1);
  CHECK(f.store.find(two));
  f.store.remove_lease("survives");
  CHECK(f.gc().layers == std::vector{two});
}

TEST_CASE("A lease expires, and can be renewed") {
  SmallStore f;
  const Digest one = f.import("one");
  {
    const Lease lease = f.store.lease({.name = "ci", .expires_after = seconds(0), .survives = true});
    lease.add(one);
    CHECK_FALSE(f.store.leases()[0].live);
    lease.renew(hours(1));
    CHECK(f.store.leases()[0].live);
  }
  CHECK(f.gc().layers.empty());
  f.store.open_lease("ci").renew(seconds(0));
  CHECK(f.gc().layers == std::vector{one});
  CHECK(f.store.leases().empty());
}

TEST_CASE("A lease that has expired isn't held again, and its name is free") {
  SmallStore f;
  f.store.lease({.name = "ci", .expires_after = seconds(0), .survives = true});
  CHECK(fails_with(errc::not_found, [&] { (void)f.store.open_lease("ci"); }));
  const Lease again = f.store.lease({.name = "ci", .survives = true});
  again.add(f.import("one"));
  CHECK(f.gc().layers.empty());
}

TEST_CASE("No stray file in leases/ or tags/ stops gc") {
  SmallStore f;
  const Digest one = f.import("one");
  fs::ofstream(f.root / "leases/stray") << "x";
  fs::ofstream(f.root / "tags/.stray") << "x";
  CHECK(f.gc().layers == std::vector{one});
}

TEST_CASE("The end of time is no overflow") {
  SmallStore f;
  const Lease lease = f.store.lease({.expires_after = seconds::max()});
  CHECK(f.store.leases()[0].expires.starts_with("9999-"));
  lease.renew(seconds::min());
  CHECK_FALSE(f.store.leases()[0].live);
}

TEST_CASE("A name is one lease's as long as that lives") {
  SmallStore f;
  std::optional<Lease> first(f.store.lease({.name = "x"}));
  CHECK(fails_with(errc::already_exists, [&] { (void)f.store.lease({.name = "x"}); }));
  CHECK(fails_with(errc::refused, [&] { (void)f.store.open_lease("x"); }));
  first.reset();
  CHECK(fails_with(errc::not_found, [&] { (void)f.store.open_lease("x"); }));
  in_dying_process([&] { static const Lease dies = f.store.lease({.name = "x"}); });
  const Lease second = f.store.lease({.name = "x"});
  CHECK(f.store.leases().size() == 1);
  CHECK(f.store.leases()[0].live);
  CHECK(fails_with(errc::bad_argument, [&] { (void)f.store.lease({.name = "../x"}); }));
}

TEST_CASE("A lease that was removed keeps nothing, and says so") {
  SmallStore f;
  const Digest one = f.import("one");
  Lease lease = f.store.lease({.name = "x"});
  f.store.remove_lease("x");
  CHECK(fails_with(errc::not_found, [&] { lease.add(one); }));
  CHECK(fails_with(errc::not_found, [&] { f.store.remove_lease("x"); }));
  const Lease other = f.store.lease({.name = "x"});
  other.add(one);
  lease.release();  // its own, which is gone, and not the other one
  CHECK(f.gc().layers.empty());
}

TEST_CASE("A lease that can't be read keeps what it names") {
  SmallStore f;
  const Digest one = f.import("one");
  const Lease lease = f.store.lease({.name = "x", .survives = true});
  lease.add(one);
  fs::ofstream(f.root / "leases/x/lease.json", std::ios::trunc);
  CHECK(f.gc().layers.empty());
  f.store.remove_lease("x");
  CHECK(f.gc().layers == std::vector{one});
}
