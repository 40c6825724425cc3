#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/dying_process.hpp"
#include "support/errors.hpp"
#include "support/layer_entries.hpp"
#include "support/small_store.hpp"

#include <boost/filesystem/fstream.hpp>
#include <boost/filesystem/operations.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <stop_token>
#include <thread>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;
using std::chrono::seconds;

namespace {

const GcOptions all_ages{.min_age = seconds(0)};

struct Fixture : SmallStore {
  /// Sets back when a layer was imported.
  void make_older(const Digest& id, seconds age) const {
    const timespec then{.tv_sec = std::time(nullptr) - age.count(), .tv_nsec = 0};
    const timespec times[2] = {then, then};
    REQUIRE(::utimensat(AT_FDCWD, (root / "layers/sha256" / id.hex()).c_str(), times, 0) == 0);
  }
  std::size_t count(const std::string& room) const {
    const auto entries = fs::directory_iterator(root / room);
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
  }
};

/// A source that is in the middle of an import as long as one likes.
class PausedSource final : public ByteSource {
 public:
  PausedSource(const std::string& bytes, std::function<void()> pause) : inner_(bytes), pause_(std::move(pause)) {}
  std::size_t read(std::span<std::byte> into) override {
    if (pause_) std::exchange(pause_, nullptr)();
    return inner_.read(into);
  }

 private:
  MemorySource inner_;
  std::function<void()> pause_;
};

}  // namespace

TEST_CASE("gc removes what nothing needs, those on top first, and says what that frees") {
  Fixture f;
  const Digest base = f.import("base");
  const Digest kept = f.import("kept", {.parent = base, .tag = "kept"});
  const Digest left = f.import("left", {.parent = base});
  const Digest above = f.import("above", {.parent = left});

  GcOptions dry = all_ages;
  dry.dry_run = true;
  const GcResult told = f.store.gc(dry);
  CHECK(told.layers == std::vector{above, left});
  CHECK(f.store.list().size() == 4);
  CHECK(f.count("trees/sha256") == 4);

  const GcResult done = f.store.gc(all_ages);
  CHECK(done.layers == told.layers);
  CHECK(done.trees == told.trees);
  CHECK(done.trees.size() == 2);
  CHECK(done.exclusive_bytes == told.exclusive_bytes);
  CHECK(done.exclusive_bytes > 0);
  CHECK(done.files == told.files);
  CHECK(f.store.list().size() == 2);
  CHECK(f.store.verify(kept).ok());
  CHECK(f.count("trees/sha256") == 2);
  CHECK(f.count("staging") == 0);
  CHECK(f.store.gc(all_ages).layers.empty());
}

TEST_CASE("gc leaves young layers alone, and those that an import has lately found stored") {
  Fixture f;
  const Digest old = f.import("old"), found = f.import("found"), fresh = f.import("young");
  f.make_older(old, seconds(7200));
  f.make_older(found, seconds(7200));
  CHECK(f.store.import(MemorySource(layer({file("found", "found")}))).existed);
  CHECK(f.store.gc().layers == std::vector{old});
  CHECK(f.store.find(fresh));
  CHECK(f.store.find(found));
}

TEST_CASE("A container keeps its chain") {
  Fixture f;
  const Digest base = f.import("base");
  const Digest top = f.import("top", {.parent = base});
  // Where mounting isn't allowed, a container isn't made either; its record is all that counts here.
  Container container;
  container.name = "web";
  container.layer = top;
  container.backend = "overlay";
  fs::create_directories(f.root / "containers/web/upper");
  fs::ofstream(f.root / "containers/web/container.json") << to_json(container);
  CHECK(f.store.gc(all_ages).layers.empty());
  fs::remove_all(f.root / "containers/web");
  CHECK(f.store.gc(all_ages).layers == std::vector{top, base});
}

TEST_CASE("A tree that two layers have stays with the last one, and what has names elsewhere isn't counted as freed") {
  Fixture f;
  const Digest one = f.import("one", {.tag = "one"});
  const Digest two = f.import("two", {.tag = "two"});
  const std::string shared = layer({file("shared", std::string(100000, 's'))});
  const Digest left = f.store.import(MemorySource(shared), {.parent = one}).id;
  const Digest kept = f.store.import(MemorySource(shared), {.parent = two, .tag = "kept"}).id;
  const GcResult first = f.store.gc(all_ages);
  CHECK(first.layers == std::vector{left});
  CHECK(first.trees.empty());
  CHECK(first.exclusive_bytes == 0);
  CHECK(f.store.verify(kept).ok());

  const fs::path file = f.root / "trees/sha256" / digest_of<Sha256>(shared).hex() / "fs/shared";
  fs::create_hard_link(file, f.scratch.path() / "elsewhere");
  f.store.untag("kept");
  const GcResult second = f.store.gc(all_ages);
  CHECK(second.layers == std::vector{kept});
  CHECK(second.shared_bytes >= 100000);
  CHECK(second.exclusive_bytes < 100000);
}

TEST_CASE("A kept blob goes with the last layer that came as it, and counts as freed") {
  Fixture f;
  const std::string bytes = layer({file("large", std::string(200000, 'b'))});
  const Digest id = f.store.import(MemorySource(bytes), {.keep_blob = true}).id;
  f.store.tag("kept", id);
  CHECK(f.gc().blobs.empty());
  CHECK(f.count("blobs/sha256") == 1);
  f.store.untag("kept");
  GcOptions dry = all_ages;
  dry.dry_run = true;
  const std::uint64_t told = f.store.gc(dry).exclusive_bytes;
  const GcResult done = f.gc();
  CHECK(done.blobs == std::vector{digest_of<Sha256>(bytes)});
  CHECK(done.exclusive_bytes == told);
  CHECK(done.exclusive_bytes >= 400000);  // the file and the blob
  CHECK(f.count("blobs/sha256") == 0);
}

TEST_CASE("What a running import stands on stays, also of a chain that is half in place") {
  Fixture f;
  const Digest base = f.import("base");
  SECTION("the parent of one layer") {
    const std::string top = layer({file("top")});
    PausedSource source(top, [&] {
      if (!f.store.gc(all_ages).layers.empty()) throw std::runtime_error("gc has removed something");
    });
    CHECK(f.store.import(source, {.parent = base}).parent == base);
  }
  SECTION("the layers of a chain that are stored already") {
    const std::string first = layer({file("first")}), second = layer({file("second")});
    MemorySource below(first);
    // Durability::none places each layer at once, so the first is in place when the second has been given time.
    PausedSource above(second, [&] {
      for (int i = 0; i < 2000 && f.store.list().size() < 2; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (!f.store.gc(all_ages).layers.empty()) throw std::runtime_error("gc has removed something");
    });
    const LayerInput inputs[] = {{below, {.parent = base}}, {above, {}}};
    CHECK(f.store.import_chain(inputs).size() == 2);
  }
  // Nobody needs any of it now.
  f.store.gc(all_ages);
  CHECK(f.store.list().empty());
}

TEST_CASE("gc takes what dead writers have left, and trees that no layer has") {
  Fixture f;
  const Digest one = f.import("one", {.tag = "one"});
  const std::string cut = layer({file("cut")});
  in_dying_process([&] {
    PausedSource source(cut, [] { ::_exit(0); });
    f.store.import(source);
  });
  const Digest orphan = digest_of<Sha256>("orphan");
  fs::create_directories(f.root / "trees/sha256" / orphan.hex() / "fs");

  const auto left = f.store.leftovers();
  REQUIRE(left.size() == 2);
  CHECK(left[0].kind == Leftover::Kind::draft);
  CHECK(left[1].kind == Leftover::Kind::tree);
  CHECK(left[1].name == orphan.to_string());
  const GcResult result = f.store.gc();
  CHECK(result.drafts == std::vector{left[0].name});
  CHECK(result.trees == std::vector{orphan});
  CHECK(f.store.leftovers().empty());
  CHECK(f.store.verify(one).ok());
}

TEST_CASE("While a record can't be read, all that it may need stays") {
  Fixture f;
  const Digest one = f.import("one"), two = f.import("two");
  fs::ofstream(f.root / "layers/sha256" / one.hex() / "metadata.json", std::ios::trunc);
  const GcResult result = f.store.gc(all_ages);
  CHECK(result.unreadable == std::vector{one});
  CHECK(result.layers.empty());
  CHECK(result.trees.empty());
  CHECK(f.count("trees/sha256") == 2);
  f.import("one");
  CHECK(f.store.gc(all_ages).layers.size() == 2);
  CHECK_FALSE(f.store.find(two));
}

TEST_CASE("What a record that can't be read may need isn't removed by others") {
  Fixture f;
  const Digest parent = f.import("parent");
  const std::string tar = layer({file("child")});
  const Digest child = f.store.import(MemorySource(tar), {.parent = parent}).id;
  fs::ofstream(f.root / "layers/sha256" / child.hex() / "metadata.json", std::ios::trunc);
  const Digest other = f.store.import(MemorySource(tar)).id;  // of the same tree

  CHECK(fails_with(errc::in_use, [&] { f.store.remove(parent); }));
  f.store.remove(other);
  std::stop_source stop;
  ImportOptions again{.parent = parent};
  again.control = {.observer = [&](const Progress& progress) {
    if (progress.phase == Progress::Phase::syncing) throw std::runtime_error("no more");
  }};
  CHECK_THROWS(f.store.import(MemorySource(tar), again));
  CHECK(f.store.gc(all_ages).layers.empty());
  CHECK(f.count("trees/sha256") == 2);
  CHECK(f.store.repair(child).ok());
  CHECK(f.store.get(child).parent == parent);
}

TEST_CASE("A record whose digests are others is damaged, and nothing is removed for what it says") {
  Fixture f;
  const Digest one = f.import("one", {.tag = "one"});
  const fs::path record = f.root / "layers/sha256" / one.hex() / "metadata.json";
  Layer layer = f.store.get(one);
  SECTION("the tree") { layer.trees.back() = digest_of<Sha256>("another"); }
  SECTION("the diff id") { layer.diff_ids.back() = digest_of<Sha256>("another"); }
  SECTION("the parent") { layer.parent = digest_of<Sha256>("another"); }
  fs::ofstream(record, std::ios::trunc) << to_json(layer);
  CHECK(fails_with(errc::damaged, [&] { (void)f.store.find(one); }));
  CHECK(f.store.gc(all_ages).trees.empty());
  CHECK(f.store.repair(one).ok());
  CHECK(f.store.verify(one).ok());
}

TEST_CASE("gc can be cancelled, before anything is removed and while trees are deleted") {
  Fixture f;
  f.import("one");
  f.import("two");
  std::stop_source stop;
  GcOptions options = all_ages;
  options.control.stop = stop.get_token();
  SECTION("before") {
    stop.request_stop();
    CHECK(fails_with(errc::cancelled, [&] { f.store.gc(options); }));
    CHECK(f.store.list().size() == 2);
  }
  SECTION("between two trees") {
    options.control.observer = [&](const Progress&) { stop.request_stop(); };
    CHECK(fails_with(errc::cancelled, [&] { f.store.gc(options); }));
    CHECK(f.store.list().empty());
    CHECK(f.count("staging") == 1);
    CHECK(f.store.gc().drafts.size() == 1);
  }
  CHECK(f.count("staging") == 0);
}
