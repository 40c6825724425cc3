#include <strata/layer_manager.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/managed_store.hpp"

#include <boost/filesystem/fstream.hpp>

#include <iterator>
#include <stop_token>
#include <thread>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

/// An image in a store, of three layers.
struct Fixture : ManagedStore {
  FakeNetwork network{noisy_image({1, 2, 3})};
  AnySource source{FakeSource(network)};
  Image image;

  explicit Fixture(bool keep = true) {
    image = pull(network, "app:1", {.keep_blobs = keep});
    network.opened = 0;
  }

  const Descriptor& blob(std::size_t i) const { return network.image.manifest.layers.at(i); }
  fs::path kept(std::size_t i) const { return root / "blobs/sha256" / blob(i).digest.hex(); }
  Layer layer_of(std::size_t i) const { return store.chain(image.layer).at(i); }
  fs::path tree_file(std::size_t i) const {
    return root / "trees/sha256" / layer_of(i).tree().hex() / "fs" / ("file" + std::to_string(i + 1));
  }
  ImageVerifyResult verify(VerifyLevel level = VerifyLevel::full) const {
    return manager.images().verify(image.digest, {.level = level});
  }
  ImageRepairResult repair(AnySource* from = nullptr) {
    return manager.repair(image.digest, {.source = from, .owners = Owners::squash});
  }
  /// It is as it came: nothing is wrong, and it can be pushed byte for byte.
  void check_whole() {
    CHECK(verify(VerifyLevel::proving).ok());
    TakenImage taken;
    CHECK(manager.push("app:1", AnySink(FakeSink(taken))) == image.manifest);
    CHECK(taken.blobs == network.image.blobs);
    CHECK(faults() == "");
    CHECK(count("staging") == 0);
  }
};

void flip_byte(const fs::path& path, std::streamoff at) {
  fs::permissions(path, fs::add_perms | fs::owner_write);
  fs::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(at);
  file.put(byte);
}

}  // namespace

TEST_CASE("Of an image that is whole, each layer is looked at, and nothing found") {
  Fixture f;
  const ImageVerifyResult result = f.verify();
  CHECK(result.ok());
  CHECK(result.image == f.image.digest);
  CHECK(result.record.empty());
  REQUIRE(result.layers.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(result.layers[i].id == f.layer_of(i).id);
  CHECK(result.blobs.empty());
  CHECK(f.manager.images().digests() == std::vector{f.image.digest});
  const ImageRepairResult repaired = f.repair(&f.source);
  CHECK(repaired.ok());
  CHECK(repaired.layers.size() == 3);
  CHECK(repaired.replaced.empty());
  CHECK(f.network.opened == 0);
  CHECK(fails_with(errc::not_found, [&] { f.manager.images().verify(f.layer_of(0).id); }));
  CHECK(fails_with(errc::not_found, [&] { f.manager.repair(f.layer_of(0).id); }));
}

TEST_CASE("A kept blob that is bad is found, and fetched again, or removed") {
  Fixture f;
  const bool cut = GENERATE(false, true);
  CAPTURE(cut);
  cut ? fs::resize_file(f.kept(1), 100) : flip_byte(f.kept(1), 200);
  CHECK(f.verify(VerifyLevel::quick).ok() == !cut);
  const ImageVerifyResult result = f.verify();
  REQUIRE(result.blobs.size() == 1);
  CHECK(result.blobs[0].digest == f.blob(1).digest);
  CHECK(result.blobs[0].what.find(cut ? "it has 100 bytes instead of" : "its digest is sha256:") == 0);
  CHECK_FALSE(result.ok());
  TakenImage taken;
  CHECK_THROWS_WITH(f.manager.push("app:1", AnySink(FakeSink(taken))), Catch::Contains("repair the image"));

  SECTION("by the source, which gives that one alone") {
    const ImageRepairResult repaired = f.repair(&f.source);
    CHECK(repaired.ok());
    CHECK(repaired.replaced == std::vector{f.blob(1).digest});
    CHECK(f.network.opened == 1);
    f.check_whole();
  }
  SECTION("by a source that has but another, and it is removed") {
    f.network.lies[f.blob(1).digest] = GENERATE(std::string("other bytes"), std::string());
    const ImageRepairResult repaired = f.repair(&f.source);
    CHECK_FALSE(repaired.ok());
    REQUIRE(repaired.removed.size() == 1);
    CHECK(repaired.removed[0].digest == f.blob(1).digest);
    CHECK(f.verify().ok());
    CHECK(f.count("staging") == 0);
  }
  SECTION("by a source that hasn't it, and it stays, since it may be a login that is missing") {
    f.network.image.blobs.erase(f.blob(1).digest);
    flip_byte(f.tree_file(1), 10);  // of which the bad blob is no good
    const ImageRepairResult repaired = f.repair(&f.source);
    REQUIRE(repaired.left.size() == 1);
    CHECK(repaired.left[0].digest == f.blob(1).digest);
    CHECK(repaired.removed.empty());
    CHECK_FALSE(repaired.layers[1].ok());
    CHECK((repaired.layers[0].ok() && repaired.layers[2].ok()));
  }
  SECTION("by a source that can't be reached, and it stays as it was") {
    f.network.break_after = 0;
    CHECK_THROWS_WITH(f.repair(&f.source), Catch::Contains("reset"));
    CHECK(f.verify().blobs.size() == 1);
    CHECK(f.count("staging") == 0);
  }
  SECTION("or without one, and a later pull fetches it") {
    const ImageRepairResult repaired = f.repair();
    CHECK_FALSE(repaired.ok());
    REQUIRE(repaired.removed.size() == 1);
    CHECK(repaired.removed[0].digest == f.blob(1).digest);
    CHECK(f.verify().ok());
    CHECK(f.network.opened == 0);
    f.pull(f.network);
    CHECK(f.network.opened == 1);
    f.check_whole();
  }
}

TEST_CASE("A layer that is damaged is mended of its kept blob, or of the source") {
  const bool keep = GENERATE(true, false);
  CAPTURE(keep);
  Fixture f(keep);
  SECTION("a file's content") { flip_byte(f.tree_file(1), 5000); }
  SECTION("a file that is gone") { fs::remove(f.tree_file(1)); }
  SECTION("a tree that is gone") { fs::remove_all(f.tree_file(1).parent_path().parent_path()); }
  SECTION("a layer that is gone") { fs::remove_all(f.root / "layers/sha256" / f.layer_of(1).id.hex()); }
  const ImageVerifyResult result = f.verify();
  REQUIRE(result.layers.size() == 3);
  CHECK_FALSE(result.layers[1].ok());
  CHECK((result.layers[0].ok() && result.layers[2].ok()));
  if (!keep) CHECK_FALSE(f.repair().ok());
  const ImageRepairResult repaired = f.repair(keep ? nullptr : &f.source);
  CHECK(repaired.ok());
  CHECK_FALSE(repaired.layers[1].mended.empty());
  CHECK(f.network.opened == (keep ? 0U : 1U));
  CHECK(f.verify(VerifyLevel::proving).ok());
  CHECK(f.faults() == "");
  if (keep) f.check_whole();
}

TEST_CASE("What two images have by different blobs, either's blob mends") {
  Fixture f(false);
  FakeNetwork other(image_of(f.network.image.tars, "zstd"));
  const Image second = f.pull(other, "app:2");
  REQUIRE(second.layer == f.image.layer);
  fs::remove(f.tree_file(2));
  CHECK_FALSE(f.repair().ok());
  CHECK(f.manager.repair(second.digest, {.owners = Owners::squash}).ok());
  CHECK(f.verify(VerifyLevel::proving).ok());
}

TEST_CASE("A manifest that lies about the size of another image's blob does it no harm") {
  Fixture f;
  MadeImage lying = f.network.image;
  lying.manifest.layers[1].size = 1;
  lying.top = lying.manifest.document();
  FakeNetwork network(lying);
  CHECK(fails_with(errc::digest_mismatch, [&] { f.pull(network, "lie"); }));
  const Image taken = f.pull(network, "lie", {.keep_blobs = false});  // whose layers are all there
  CHECK(f.manager.images().verify(taken.digest).blobs.size() == 1);
  const ImageRepairResult repaired = f.manager.repair(taken.digest, {.source = &f.source, .owners = Owners::squash});
  REQUIRE(repaired.left.size() == 1);
  CHECK(repaired.left[0].what.find("it is whole") == 0);
  CHECK(repaired.replaced.empty());
  CHECK(repaired.removed.empty());
  f.check_whole();
}

TEST_CASE("What is in the place of a blob, and no file, is replaced or removed") {
  Fixture f;
  fs::remove(f.kept(0));
  SECTION("a symlink") { fs::create_symlink("/etc/passwd", f.kept(0)); }
  SECTION("a directory") { fs::create_directories(f.kept(0) / "with/more"); }
  CHECK(f.verify(VerifyLevel::quick).blobs.size() == 1);
  flip_byte(f.tree_file(0), 10);
  CHECK_FALSE(f.repair().ok());
  CHECK_FALSE(fs::exists(fs::symlink_status(f.kept(0))));
  CHECK(f.repair(&f.source).ok());
  CHECK(f.verify(VerifyLevel::proving).ok());
}

TEST_CASE("A source that hasn't the blob of one layer mends the others") {
  Fixture f(false);
  for (std::size_t i = 0; i < 3; ++i) flip_byte(f.tree_file(i), 10);
  f.network.image.blobs.erase(f.blob(1).digest);
  const ImageRepairResult repaired = f.repair(&f.source);
  CHECK_FALSE(repaired.ok());
  CHECK((repaired.layers[0].ok() && !repaired.layers[1].ok() && repaired.layers[2].ok()));
  const ImageVerifyResult now = f.verify();
  CHECK((now.layers[0].ok() && !now.layers[1].ok() && now.layers[2].ok()));
}

TEST_CASE("A layer of which neither the record nor the tree is left is imported anew") {
  Fixture f;
  const fs::path layer = f.root / "layers/sha256" / f.layer_of(1).id.hex();
  fs::remove_all(f.tree_file(1).parent_path().parent_path());
  for (const fs::directory_entry& entry : fs::directory_iterator(layer)) {
    fs::permissions(entry.path(), fs::add_perms | fs::owner_write);
    fs::ofstream(entry.path(), std::ios::trunc) << "{";
  }
  CHECK_FALSE(f.verify().ok());
  CHECK(f.repair().ok());
  f.check_whole();
}

TEST_CASE("A repair beside garbage collection keeps what it has mended") {
  Fixture f;
  fs::remove_all(f.root / "layers/sha256" / f.layer_of(0).id.hex());
  f.network.delay_ms = 1;
  std::jthread collector([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) f.gc();
  });
  CHECK(f.repair(&f.source).ok());
  collector.request_stop();
  collector.join();
  CHECK(f.verify().ok());
}

TEST_CASE("Documents that are damaged are found, and made again by a pull") {
  Fixture f;
  const char* const name = GENERATE("manifest", "config", "image.json");
  CAPTURE(name);
  const fs::path path = f.root / "images/sha256" / f.image.digest.hex() / name;
  fs::permissions(path, fs::add_perms | fs::owner_write);
  fs::ofstream(path) << "{}";
  const ImageVerifyResult result = f.verify();
  CHECK_FALSE(result.ok());
  CHECK_FALSE(result.record.empty());
  CHECK(result.layers.size() == (std::string_view(name) == "image.json" ? 0U : 3U));
  CHECK(f.manager.images().resolve("app:1") == f.image.digest);
  CHECK(f.manager.images().digests() == std::vector{f.image.digest});
  if (std::string_view(name) == "image.json") {
    CHECK(f.repair().recorded);
  } else {
    CHECK(fails_with(errc::damaged, [&] { f.repair(&f.source); }));
    f.pull(f.network);
  }
  f.check_whole();
}

TEST_CASE("A record that says something else than its documents is found, and made again") {
  Fixture f;
  const fs::path path = f.root / "images/sha256" / f.image.digest.hex() / "image.json";
  std::string text;
  {
    fs::ifstream file(path);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  const bool of_blob = GENERATE(false, true);
  const std::string hex = of_blob ? f.blob(1).digest.hex() : f.image.layer.hex();
  const std::size_t at = text.find(hex);
  REQUIRE(at != std::string::npos);
  text[at] = text[at] == '0' ? '1' : '0';
  fs::permissions(path, fs::add_perms | fs::owner_write);
  fs::ofstream(path, std::ios::trunc) << text;
  CHECK_FALSE(f.verify(VerifyLevel::quick).record.empty());
  SECTION("by a pull") { f.pull(f.network); }
  SECTION("or a repair, which says so") {
    const ImageRepairResult repaired = f.repair();
    CHECK(repaired.ok());
    CHECK(repaired.recorded);
    CHECK_FALSE(f.repair().recorded);
  }
  f.check_whole();
}

TEST_CASE("A layer's record that can't be read is mended, and that is told") {
  Fixture f;
  const fs::path record = f.root / "layers/sha256" / f.layer_of(1).id.hex() / "metadata.json";
  fs::permissions(record, fs::add_perms | fs::owner_write);
  fs::ofstream(record, std::ios::trunc) << "{";
  const ImageRepairResult repaired = f.repair();
  CHECK(repaired.ok());
  REQUIRE(repaired.layers[1].mended.size() == 1);
  CHECK(repaired.layers[1].mended[0].kind == Damage::Kind::record);
  f.check_whole();
}

TEST_CASE("Of several images, those that share layers give each its result, and those that are gone none") {
  Fixture f;
  FakeNetwork other(noisy_image({1, 2, 4}));
  const Image second = f.pull(other, "app:2");
  flip_byte(f.tree_file(1), 10);
  const std::vector<Digest> images{second.digest, f.layer_of(0).id, f.image.digest};
  const std::vector<ImageVerifyResult> results = f.manager.images().verify(images);
  REQUIRE(results.size() == 2);
  CHECK(results[0].image == second.digest);
  CHECK(results[1].image == f.image.digest);
  for (const ImageVerifyResult& result : results) {
    CHECK(result.layers[0].ok());
    CHECK_FALSE(result.layers[1].ok());
  }
}

TEST_CASE("Looking at an image and mending it can be stopped, and show that they go on") {
  Fixture f;
  flip_byte(f.tree_file(0), 100);
  flip_byte(f.kept(2), 100);
  std::stop_source stop;
  stop.request_stop();
  CHECK(fails_with(errc::cancelled, [&] {
    f.manager.images().verify(f.image.digest, {.control = {.observer = {}, .stop = stop.get_token()}});
  }));
  CHECK(fails_with(errc::cancelled, [&] {
    f.manager.repair(
        f.image.digest,
        {.source = &f.source, .owners = Owners::squash, .control = {.observer = {}, .stop = stop.get_token()}});
  }));
  std::uint64_t last = 0;
  const Control watched{.observer =
                            [&](const Progress& now) {
                              CHECK(now.bytes >= last);
                              last = now.bytes;
                            },
                        .stop = {}};
  CHECK_FALSE(f.manager.images().verify(f.image.digest, {.control = watched}).ok());
  CHECK(last >= 3 * 10'000);
  last = 0;
  CHECK(f.manager.repair(f.image.digest, {.source = &f.source, .owners = Owners::squash, .control = watched}).ok());
  CHECK(last >= 3 * 10'000);
  f.check_whole();
}
