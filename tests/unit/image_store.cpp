#include <strata/image_store.hpp>

#include "store/image_record.hpp"
#include "support/catch.hpp"
#include "support/dying_process.hpp"
#include "support/errors.hpp"
#include "support/managed_store.hpp"

#include <boost/filesystem/fstream.hpp>

#include <sys/stat.h>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

struct Fixture : ManagedStore {
  ImageStore images{store};

  /// Of layers that are imported first, each with one file of its name.
  NewImage image(const std::vector<std::string>& names, const std::string& tag = {}) {
    std::vector<std::string> tars;
    std::optional<Digest> parent;
    for (const std::string& name : names) {
      tars.push_back(layer({file(name, name)}));
      parent = import(name, {.parent = parent});
    }
    const MadeImage made = image_of(tars, "none");
    return {.manifest = made.top, .config = made.config.document(), .index = {}, .made = false, .name = tag};
  }
  void make_older(const Digest& id, std::chrono::seconds age) const {
    const timespec then{.tv_sec = std::time(nullptr) - age.count(), .tv_nsec = 0};
    const timespec times[2] = {then, then};
    REQUIRE(::utimensat(AT_FDCWD, (root / "images/sha256" / id.hex()).c_str(), times, 0) == 0);
  }
};

}  // namespace

TEST_CASE("An image is found by its name, as a reference, by its digest, its config's, and their first digits") {
  Fixture f;
  const NewImage added = f.image({"a", "b"}, "docker.io/library/debian:latest");
  const Image image = f.images.add(added);
  CHECK(image.digest == added.manifest.digest);
  CHECK(image.manifest == added.manifest);
  CHECK(image.config == added.config);
  for (const std::string& name :
       {std::string("debian"), std::string("debian:latest"), std::string("docker.io/library/debian:latest"),
        image.digest.to_string(), image.digest.hex(), image.digest.hex().substr(0, 12), image.config.digest.to_string(),
        image.config.digest.hex().substr(0, 12)}) {
    CAPTURE(name);
    REQUIRE(f.images.find(name));
    CHECK(f.images.find(name)->digest == image.digest);
  }
  for (const char* name : {"debian:12", "alpine", "abc", "", "No:Such:Thing"}) CHECK_FALSE(f.images.find(name));
  CHECK(fails_with(errc::not_found, [&] { f.images.get("alpine"); }));
  CHECK(f.store.resolve("docker.io/library/debian:latest") == image.layer);
}

TEST_CASE("Digits with which several images begin are refused") {
  Fixture f;
  const Image one = f.images.add(f.image({"a"}, "one"));
  // Made so that its digest begins with what the other's does.
  for (const char* room : {"manifest", "config"}) CHECK(fs::exists(f.root / "images/sha256" / one.digest.hex() / room));
  std::string hex = one.digest.hex();
  hex.back() = hex.back() == '0' ? '1' : '0';
  fs::create_directories(f.root / "images/sha256" / hex);
  for (const char* name : {"manifest", "config", "image.json"})
    fs::copy_file(f.root / "images/sha256" / one.digest.hex() / name, f.root / "images/sha256" / hex / name);
  CHECK(fails_with(errc::bad_argument, [&] { (void)f.images.find(hex.substr(0, 12)); }));
}

TEST_CASE("An image has the names that it was given, and a name is one image's, or one layer's") {
  Fixture f;
  const Image one = f.images.add(f.image({"a"}, "one")), two = f.images.add(f.image({"a", "b"}, "two"));
  f.images.tag(one.digest, "more");
  CHECK(f.images.get("one").names == std::vector<std::string>{"more", "one"});
  f.images.tag(two.digest, "more");
  CHECK(f.images.get("one").names == std::vector<std::string>{"one"});
  CHECK(f.images.get("more").digest == two.digest);
  CHECK(f.store.find_tag("more") == two.layer);
  f.store.tag("more", one.layer);
  CHECK_FALSE(f.images.find("more"));
  CHECK(f.images.get("two").names == std::vector<std::string>{"two"});
  CHECK(f.images.list().size() == 2);
  CHECK(f.images.list().front().names.front() == "one");
  CHECK(fails_with(errc::not_found, [&] { f.images.tag(one.layer, "x"); }));
  CHECK(fails_with(errc::bad_argument, [&] { f.images.tag(one.digest, "not a name"); }));
}

TEST_CASE("An image whose layers aren't stored, or whose documents don't fit, is refused, and nothing of it is there") {
  Fixture f;
  const MadeImage made = noisy_image({1, 2});
  NewImage image{.manifest = made.top, .config = made.config.document(), .index = {}, .made = false, .name = "x"};
  CHECK(fails_with(errc::not_found, [&] { f.images.add(image); }));
  NewImage other = f.image({"a"}, "x");
  other.config = image.config;
  CHECK(fails_with(errc::digest_mismatch, [&] { f.images.add(other); }));
  other = f.image({"a"}, "x");
  other.manifest.bytes += " ";
  CHECK(fails_with(errc::digest_mismatch, [&] { f.images.add(other); }));
  CHECK(f.images.list().empty());
  CHECK(f.store.tags().empty());
  CHECK(f.count("staging") == 0);
}

TEST_CASE("A layer that an image needs can't be removed; the image takes with it what only it needs") {
  Fixture f;
  const Image base = f.images.add(f.image({"a"}, "base")), app = f.images.add(f.image({"a", "b"}, "app"));
  CHECK(fails_with(errc::in_use, [&] { f.store.remove(app.layer); }));
  f.store.untag("app");
  CHECK(fails_with(errc::in_use, [&] { f.store.remove(app.layer); }));
  CHECK(f.images.remove(app.digest) == std::vector{app.layer});
  CHECK(f.store.find(base.layer));
  CHECK(fails_with(errc::not_found, [&] { f.images.remove(app.digest); }));
  const Lease lease = f.store.lease();
  lease.add(base.layer);
  CHECK(f.images.remove(base.digest).empty());
  CHECK(f.store.find(base.layer));
  CHECK(f.store.tags().empty());
  CHECK(f.images.list().empty());
}

TEST_CASE("While a container stands on an image, it is removed by force alone, and its layer stays") {
  Fixture f;
  const Image image = f.images.add(f.image({"a"}, "image"));
  Mounter<Copy>(f.store).mount(image.layer, "c").keep();
  CHECK(fails_with(errc::in_use, [&] { f.images.remove(image.digest); }));
  CHECK(f.images.get("image").names.size() == 1);
  CHECK(f.images.remove(image.digest, true).empty());
  CHECK(f.store.find(image.layer));
  Mounter<Copy>(f.store).unmount("c");
  Mounter<Copy>(f.store).remove("c");
}

TEST_CASE("gc removes images without a name that are old, with their layers and blobs, and no others") {
  Fixture f;
  FakeNetwork network(noisy_image({1, 2}));
  const Image image = f.pull(network, "app");
  const Image young = f.images.add(f.image({"young"}));
  f.store.untag("app");
  CHECK(f.store.gc().images.empty());
  f.make_older(image.digest, std::chrono::hours(2));
  const GcResult told = f.store.gc({.dry_run = true});
  CHECK(told.images == std::vector{image.digest});
  // The layers are young, and stay for now; the blobs were the image's and are the layers'.
  CHECK(told.layers.empty());
  const GcResult done = f.gc();
  CHECK(done.images.size() == 2);
  CHECK(done.layers.size() == 3);
  CHECK(done.blobs.size() == 2);
  CHECK(f.count("images/sha256") == 0);
  CHECK(f.store.list().empty());
  CHECK(f.images.find(young.digest.to_string()) == std::nullopt);
  CHECK(f.store.leftovers().empty());
}

TEST_CASE("A blob that an image names and no layer's record is kept with the image") {
  Fixture f;
  const std::string tar = layer({file("f", noise(3000))});
  FakeNetwork plain(image_of({tar}, "none")), gzip(image_of({tar}, "gzip"));
  const Image first = f.pull(plain, "plain", {.keep_blobs = false});
  const Image second = f.pull(gzip, "gzip");
  CHECK(first.layer == second.layer);
  CHECK(f.count("blobs/sha256") == 1);
  CHECK(f.gc().blobs.empty());
  CHECK(f.store.leftovers().empty());
  f.images.remove(second.digest);
  CHECK(f.count("blobs/sha256") == 0);
  CHECK(f.store.find(first.layer));
}

TEST_CASE(
    "A damaged record is its image's alone: it is listed no more, keeps all from gc, and is mended by adding it") {
  Fixture f;
  const NewImage added = f.image({"a"}, "image");
  const Image image = f.images.add(added);
  const fs::path record = f.root / "images/sha256" / image.digest.hex() / "image.json";
  f.import("alone");
  SECTION("cut") { fs::ofstream(record, std::ios::trunc) << "{"; }
  SECTION("gone") { fs::remove(record); }
  CHECK(fails_with(errc::damaged, [&] { (void)f.images.find("image"); }));
  CHECK(f.images.list().empty());
  CHECK(f.gc().unreadable == std::vector{image.digest});
  CHECK(f.store.list().size() == 2);
  CHECK(fails_with(errc::in_use, [&] { f.store.remove(image.layer); }));
  f.images.add(added);
  CHECK(f.images.get("image").digest == image.digest);
  CHECK(f.gc().layers.size() == 1);
}

TEST_CASE("A damaged image can be removed") {
  Fixture f;
  const Image image = f.images.add(f.image({"a"}, "image"));
  fs::ofstream(f.root / "images/sha256" / image.digest.hex() / "image.json", std::ios::trunc) << "{";
  f.images.remove(image.digest);
  CHECK(f.store.tags().empty());
  CHECK(f.gc().layers.size() == 1);
}

TEST_CASE("Documents that are no longer what they were are told") {
  Fixture f;
  const Image image = f.images.add(f.image({"a"}, "image"));
  const char* name = GENERATE("manifest", "config");
  fs::ofstream(f.root / "images/sha256" / image.digest.hex() / name, std::ios::app) << " ";
  CHECK(fails_with(errc::damaged, [&] { (void)f.images.find("image"); }));
}

TEST_CASE("touch notes the use of an image, whose time is a text in the order of times") {
  Fixture f;
  const Image one = f.images.add(f.image({"a"}, "one")), two = f.images.add(f.image({"b"}, "two"));
  CHECK(f.images.get("one").used < f.images.get("two").used);
  f.images.touch(one.digest);
  CHECK(f.images.get("one").used > f.images.get("two").used);
  CHECK(fails_with(errc::not_found, [&] { f.images.touch(one.layer); }));
}

TEST_CASE("An image is still there for the next process") {
  Fixture f;
  in_dying_process([&] { f.images.add(f.image({"a", "b"}, "image")); });
  CHECK(f.images.get("image").names.size() == 1);
  CHECK(f.faults() == "");
}

TEST_CASE("The record of an image is read as it was written, and what is wrong with one is told") {
  const Digest digest = digest_of<Sha256>(std::string_view("x"));
  const detail::ImageRecord record{.digest = digest,
                                   .layer = digest,
                                   .manifest_type = "m",
                                   .config_type = "c",
                                   .config = digest,
                                   .index = digest,
                                   .made = true,
                                   .added = "2024-01-01T00:00:00Z",
                                   .blobs = {digest, digest}};
  const std::string text = to_json(record);
  CHECK(to_json(detail::image_record_from_json(text)) == text);
  for (const char* bad : {"", "[]", "{}", R"({"layer": 1})"})
    CHECK(fails_with(errc::damaged, [&] { (void)detail::image_record_from_json(bad); }));
}

TEST_CASE("A reference with a digest finds no other image, whatever it is called") {
  Fixture f;
  const std::string pinned = "docker.io/library/app@sha256:" + std::string(64, 'a');
  const Image image = f.images.add(f.image({"base"}));
  f.images.tag(image.digest, pinned);
  CHECK_FALSE(f.images.find(pinned));
  CHECK_FALSE(f.images.find("app@sha256:" + std::string(64, 'a')));
  f.images.tag(image.digest, "docker.io/library/app@" + image.digest.to_string());
  CHECK(f.images.find("app@" + image.digest.to_string()));
}
