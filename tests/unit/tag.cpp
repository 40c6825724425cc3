#include <strata/layer_store.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/small_store.hpp"

#include <boost/filesystem/fstream.hpp>
#include <boost/filesystem/operations.hpp>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

TEST_CASE("A tag finds its layer, is moved, and goes") {
  SmallStore f;
  const Digest one = f.import("one"), two = f.import("two");
  f.store.tag("debian:12", one);
  f.store.tag("registry.example:5000/team/app@v1", two);
  CHECK(f.store.resolve("debian:12") == one);
  CHECK(f.store.resolve("registry.example:5000/team/app@v1") == two);
  REQUIRE(f.store.tags().size() == 2);
  CHECK(f.store.tags()[1].name == "registry.example:5000/team/app@v1");

  f.store.tag("debian:12", two);
  CHECK(f.store.find_tag("debian:12") == two);
  f.store.untag("debian:12");
  CHECK_FALSE(f.store.find_tag("debian:12"));
  CHECK(f.store.tags().size() == 1);
  CHECK(fails_with(errc::not_found, [&] { f.store.untag("debian:12"); }));
}

TEST_CASE("A tag that looks like an id comes first") {
  SmallStore f;
  const Digest one = f.import("one"), two = f.import("two");
  f.store.tag(two.hex().substr(0, 12), one);
  CHECK(f.store.resolve(two.hex().substr(0, 12)) == one);
  CHECK(f.store.resolve(two.hex()) == two);
}

TEST_CASE("Only a layer that is there can be tagged, by a name that is one") {
  SmallStore f;
  const Digest one = f.import("one");
  CHECK(fails_with(errc::not_found, [&] { f.store.tag("x", digest_of<Sha256>("nothing")); }));
  for (const std::string& name : {std::string(), std::string("../x"), std::string("a b"), std::string("-a"),
                                  std::string("a\0b", 3), std::string(201, 'a'), "a" + std::string(100, '/')})
    CHECK(fails_with(errc::bad_argument, [&] { f.store.tag(name, one); }));
  CHECK(f.store.tags().empty());
}

TEST_CASE("A tagged layer can't be removed") {
  SmallStore f;
  const Digest one = f.import("one", {.tag = "latest"});
  try {
    f.store.remove(one);
    FAIL("it was removed");
  } catch (const Error& error) {
    CHECK(error.code() == errc::in_use);
    CHECK(std::string(error.what()).find("tag 'latest'") != std::string::npos);
  }
  f.store.untag("latest");
  f.store.remove(one);
}

TEST_CASE("A tag that a power cut has emptied is named as damaged, and set again") {
  SmallStore f;
  const Digest one = f.import("one", {.tag = "latest"});
  fs::ofstream(f.root / "tags/latest", std::ios::trunc);
  CHECK(fails_with(errc::damaged, [&] { (void)f.store.tags(); }));
  CHECK(fails_with(errc::damaged, [&] { (void)f.store.gc({.min_age = std::chrono::seconds(0)}); }));
  CHECK(f.store.find(one));
  f.store.tag("latest", one);
  CHECK(f.store.find_tag("latest") == one);
}

TEST_CASE("A store of before there were tags and leases has none, and gets them") {
  SmallStore f;
  const Digest one = f.import("one");
  fs::remove(f.root / "tags");
  fs::remove(f.root / "leases");
  CHECK(f.store.tags().empty());
  CHECK(f.store.leases().empty());
  f.store.gc();
  f.store.tag("latest", one);
  CHECK(f.store.tags().size() == 1);
  f.store.lease({.name = "keep", .survives = true}).add(one);
  CHECK(f.store.leases().size() == 1);
}
