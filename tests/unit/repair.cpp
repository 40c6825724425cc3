// What was harmed is mended from everything that a repair can take it from, and proven.
#include <strata/layer_store.hpp>

#include <strata/error.hpp>

#include "store/lock.hpp"
#include "sys.hpp"

#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/damage.hpp"
#include "support/tree_text.hpp"

#include <sys/wait.h>

#include <atomic>
#include <regex>
#include <set>
#include <sstream>
#include <thread>

using namespace strata;
using namespace strata::test;
using Catch::Contains;

namespace {

errc code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    for (const errc code : {errc::digest_mismatch, errc::not_found, errc::in_use, errc::damaged, errc::cancelled,
                            errc::bad_archive, errc::limit_exceeded})
      if (error.code() == code) return code;
    throw;
  }
  throw std::runtime_error("nothing was thrown");
}

/// Where contents come from.
enum class From { nothing, twin, blob, tar, gzip };

RepairResult repair(RichStore& f, From from, const Digest& id) {
  const std::string bytes = from == From::gzip ? encode(CompressionPolicy::of<Gzip>(), f.tar) : f.tar;
  MemorySource source(bytes);
  RepairOptions options;
  if (from == From::tar || from == From::gzip) options.source = &source;
  return f.store.repair(id, options);
}

/// All of a tree but the times of its whiteouts, which nothing records.
std::string state_of(const fs::path& root) {
  return std::regex_replace(tree_text(root), std::regex(" @[0-9.]+ dev=0:0"), "");
}

void check_whole(const RichStore& f, const std::string& before) {
  CHECK(f.verified(VerifyLevel::proving) == "");
  CHECK(difference(before, state_of(f.root())) == "");
  CHECK(f.exported() == f.tar);
  CHECK(fs::is_empty(f.store.root() / "staging"));
}

/// A layer of which the tar doesn't say all: it took things from below, and replaced its own.
struct ResolvedStore {
  ScratchDirectory scratch;
  LayerStore<> store{scratch.path() / "store", {.durability = Durability::none}};
  std::string below_tar = layer({dir("d", "0000711"), file("d/a", noise(4000, 3)), file("b", "b")});
  std::string tar = layer({file("d/new", "n"), hard_link("copy", "d/a"), whiteout(".wh.b"), file("f", "first"),
                           file("f", "other"), file("g", noise(6000, 4))});
  Digest below = store.import(MemorySource(below_tar)).id;
  ImportedLayer top = store.import(MemorySource(tar), {.parent = below});
  fs::path tree() const { return store.root() / "trees/sha256" / top.tree().hex(); }
  std::string verified(VerifyLevel level) const { return told(store.verify(top.id, {.level = level}).damages); }
};

}  // namespace

TEST_CASE("each harm is mended, from whatever has the contents") {
  const bool gives_owners = may_give_owners();
  for (const Harm& harm : harms(RichStore().opaque_mark()))
    for (const From from : {From::nothing, From::twin, From::blob, From::tar, From::gzip}) {
      if (harm.needs_root && !gives_owners) continue;
      if (from == From::nothing ? harm.takes_content : !harm.takes_content && from != From::tar) continue;
      INFO(harm.name << ", from " << static_cast<int>(from));
      RichStore f(from == From::blob);
      if (from == From::twin) f.store.import(MemorySource(twin_tar()));
      const std::string before = state_of(f.root());
      f.harm(harm);
      const std::string found = f.verified(VerifyLevel::full);
      const RepairResult result = repair(f, from, f.rich.id);
      CHECK(told(result.left) == "");
      CHECK(told(result.mended) == found);
      CHECK_FALSE(result.rebuilt);
      check_whole(f, before);
    }
}

TEST_CASE("all harms that go together are mended together") {
  RichStore f;
  const std::string before = state_of(f.root());
  const bool gives_owners = may_give_owners();
  for (const Harm& harm : harms(f.opaque_mark()))
    if (!harm.needs_root || gives_owners) try {
        harm.done(f.root());  // some are no longer possible after others
      } catch (const std::exception&) {
      }
  CHECK(f.verified(VerifyLevel::full) != "");
  CHECK(told(repair(f, From::gzip, f.rich.id).left) == "");
  check_whole(f, before);
}

TEST_CASE("what has no source is told with the remedy, and the rest is mended") {
  RichStore f;
  const std::string before = state_of(f.root());
  const Times times(f.root());
  write_at(f.root() / "big", 5, "?!");
  fs::remove(f.root() / "d/a");
  write_at(f.root() / "noted", 0, "?");
  must(::chmod((f.root() / "d").c_str(), 0700), "chmod");
  times.give_back();
  // One of the two is to be had, but it can't be proven without the other.
  f.store.import(MemorySource(layer({file("6", "noted")})));
  RepairResult result = f.store.repair(f.rich.id);
  CHECK(told(result.mended) == "d mode\nd/a missing\n");
  REQUIRE(told(result.left) == "big content\nnoted content\n");
  CHECK_THAT(result.left[0].what, Contains("its content has changed") && Contains("as the source"));
  CHECK(f.verified(VerifyLevel::full) == "big content\nnoted content\n");
  CHECK(code_of([&] { (void)f.exported(); }) == errc::damaged);
  result = repair(f, From::tar, f.rich.id);
  CHECK(told(result.mended) == "big content\nnoted content\n");
  CHECK(result.ok());
  check_whole(f, before);
}

TEST_CASE("a layer that is whole is left alone, and its source unread") {
  struct Untouched final : ByteSource {
    std::size_t read(std::span<std::byte>) override { throw std::logic_error("it was read"); }
  } source;
  RichStore f;
  const std::string before = state_of(f.root());
  const RepairResult result = f.store.repair(f.rich.id, {.source = &source});
  CHECK(result.ok());
  CHECK(result.mended.empty());
  check_whole(f, before);
}

TEST_CASE("a source that is another layer's is refused, and changes nothing") {
  RichStore f;
  write_at(f.root() / "big", 5, "?!");
  must(::chmod((f.root() / "d").c_str(), 0700), "chmod");
  const std::string before = state_of(f.root());
  const auto repair_from = [&](const std::string& bytes) {
    MemorySource source(bytes);
    f.store.repair(f.rich.id, {.source = &source});
  };
  CHECK(code_of([&] { repair_from(twin_tar()); }) != errc::damaged);
  CHECK(code_of([&] { repair_from(base_tar()); }) == errc::digest_mismatch);
  std::string changed = f.tar;
  changed[f.tar.find("alike")] = 'A';
  CHECK(code_of([&] { repair_from(changed); }) == errc::digest_mismatch);
  CHECK(code_of([&] { repair_from(f.tar.substr(0, f.tar.size() / 2)); }) == errc::digest_mismatch);
  CHECK(code_of([&] { repair_from("nonsense"); }) == errc::bad_archive);
  CHECK(state_of(f.root()) == before);
  CHECK(fs::is_empty(f.store.root() / "staging"));
}

TEST_CASE("a content is written to a new file, so who has the old one open keeps it") {
  RichStore f;
  write_at(f.root() / "big", 0, "OLD");
  const FileDescriptor open(::open((f.root() / "big").c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(repair(f, From::tar, f.rich.id).ok());
  char text[3];
  REQUIRE(::pread(open.get(), text, 3, 0) == 3);
  CHECK(std::string(text, 3) == "OLD");
}

TEST_CASE("what a tree took from below is mended from there") {
  ResolvedStore f;
  const fs::path root = f.tree() / "fs";
  const std::string before = state_of(root);
  REQUIRE(f.verified(VerifyLevel::proving) == "");
  const Times times(root);
  write_at(root / "copy", 0, "?!");
  must(::chmod((root / "d").c_str(), 0755), "chmod");
  fs::remove(root / "b");
  times.give_back();
  CHECK(f.verified(VerifyLevel::quick) == "b missing\nd mode\n");
  CHECK(f.verified(VerifyLevel::full) == "b missing\ncopy content\nd mode\n");
  CHECK(told(f.store.repair(f.top.id).left) == "");
  CHECK(f.verified(VerifyLevel::proving) == "");
  CHECK(difference(before, state_of(root)) == "");
}

TEST_CASE("a file that shares what a later entry replaced is looked at and mended too") {
  const std::string tar = layer({file("f", "one"), hard_link("g", "f"), file("f", "two")});
  for (const bool parted : {false, true}) {
    const ScratchDirectory scratch;
    LayerStore<> store(scratch.path() / "store", {.durability = Durability::none});
    const ImportedLayer imported = store.import(MemorySource(tar));
    const fs::path root = store.root() / "trees/sha256" / imported.tree().hex() / "fs";
    CHECK(store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
    const std::string before = state_of(root);
    const Times times(root);
    if (parted) {
      fs::remove(root / "g");
      write_file(root / "g", "ONE");
    } else {
      write_at(root / "g", 0, "ONE");
    }
    times.give_back();
    CHECK(store.verify(imported.id, {.level = VerifyLevel::quick}).ok());
    CHECK(told(store.verify(imported.id).damages) == (parted ? "g content\n" : "f content\n"));
    MemorySource source(tar);
    CHECK(told(store.repair(imported.id, {.source = &source}).left) == "");
    CHECK(store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
    CHECK(difference(before, state_of(root)) == "");
  }
}

TEST_CASE("a content that a later entry replaced is looked at and mended too") {
  ResolvedStore f;
  const fs::path kept = f.tree() / "kept";
  REQUIRE(fs::exists(kept));
  const fs::path file = fs::directory_iterator(kept)->path();
  write_at(file, 0, "FIRST");
  CHECK(f.verified(VerifyLevel::quick) == "");
  CHECK(f.verified(VerifyLevel::full) == "f content\n");
  CHECK(told(f.store.repair(f.top.id).left) == "f content\n");
  MemorySource source(f.tar);
  CHECK(f.store.repair(f.top.id, {.source = &source}).ok());
  CHECK(f.verified(VerifyLevel::proving) == "");
  // Without it the recipe no longer fits, and the tree is made anew.
  fs::remove(file);
  CHECK(f.verified(VerifyLevel::proving) != "");
  MemorySource again(f.tar);
  CHECK(f.store.repair(f.top.id, {.source = &again}).rebuilt);
  CHECK(f.verified(VerifyLevel::proving) == "");
}

TEST_CASE("a tree whose records are bad is made anew") {
  struct Way {
    std::function<void(const fs::path&)> done;
    bool still_gives_tar;
  };
  const std::vector<Way> ways = {
      {[](const fs::path& tree) { fs::resize_file(tree / "recipe", 20); }, false},
      {[](const fs::path& tree) { fs::remove(tree / "recipe"); }, false},
      {[](const fs::path& tree) { write_file(tree / "tree.json", "{"); }, true},
      {[](const fs::path& tree) { fs::remove(tree / "tree.json"); }, true},
      {[](const fs::path& tree) { delete_all(tree / "fs"); }, false},
      {[](const fs::path& tree) { delete_all(tree); }, false},
  };
  for (const Way& way : ways)
    for (const From from : {From::nothing, From::blob, From::gzip}) {
      INFO(&way - ways.data() << ", from " << static_cast<int>(from));
      RichStore f(from == From::blob);
      const std::string before = state_of(f.root());
      way.done(f.tree());
      const RepairResult result = repair(f, from, f.rich.id);
      if (from == From::nothing && !way.still_gives_tar) {
        CHECK(told(result.left) == " record\n");
        CHECK_FALSE(result.rebuilt);
        REQUIRE_FALSE(result.left.empty());
        CHECK_THAT(result.left[0].what, Contains("as the source"));
        CHECK(repair(f, From::tar, f.rich.id).ok());
      } else {
        CHECK(told(result.left) == "");
        CHECK(told(result.mended) == " record\n");
        CHECK(result.rebuilt);
      }
      check_whole(f, before);
    }
  ResolvedStore f;
  const std::string before = state_of(f.tree() / "fs");
  fs::remove(f.tree() / "entries");
  CHECK(f.verified(VerifyLevel::quick) == " record\n");
  CHECK(f.store.repair(f.top.id).rebuilt);
  CHECK(f.verified(VerifyLevel::proving) == "");
  CHECK(difference(before, state_of(f.tree() / "fs")) == "");
}

TEST_CASE("the record of a layer is made again from its tree and what is below it") {
  for (const char* const text : {"{", "", "no record"}) {
    INFO(text);
    RichStore f;
    const ImportedLayer child = f.store.import(MemorySource(layer({file("c")})), {.parent = f.rich.id});
    const Layer before = f.store.get(f.rich.id);
    const fs::path record = f.store.root() / "layers/sha256" / f.rich.id.hex() / "metadata.json";
    const std::string old = to_json(before);
    if (*text == 'n')
      write_file(record, old.substr(0, old.find("\"size\"")) + "\"size\": -1," + old.substr(old.find("\"tar_size\"")));
    else
      write_file(record, text);
    CHECK(code_of([&] { (void)f.store.get(f.rich.id); }) == errc::damaged);
    const RepairResult result = f.store.repair(f.rich.id);
    CHECK(told(result.mended) == " record\n");
    CHECK(result.ok());
    Layer after = f.store.get(f.rich.id);
    after.created = before.created;  // which nothing else says
    CHECK(to_json(after) == old);
    CHECK(f.verified(VerifyLevel::proving) == "");
    CHECK(f.store.chain(child.id).size() == 3);
  }
  RichStore f;
  fs::remove(f.store.root() / "layers/sha256" / f.base.hex() / "metadata.json");
  CHECK(f.store.repair(f.base).ok());
  CHECK(f.store.get(f.base).entries == 4);
  CHECK(code_of([&] { f.store.repair(digest_of<Sha256>("none")); }) == errc::not_found);
}

TEST_CASE("a repair of a layer that has been removed leaves nothing in its place") {
  RichStore f;
  f.store.remove(f.rich.id);
  CHECK(code_of([&] { repair(f, From::tar, f.rich.id); }) == errc::not_found);
  CHECK_FALSE(fs::exists(f.tree()));
  RichStore g;
  delete_all(g.tree());
  CHECK(told(g.store.repair(g.rich.id).left) == " record\n");
  CHECK_FALSE(fs::exists(g.tree()));  // else the next import of the layer would take that for the tree
}

TEST_CASE("one tree is repaired by one at a time, and not removed meanwhile") {
  RichStore f;
  write_at(f.root() / "big", 5, "?!");
  {
    const FileDescriptor tree(::open(f.tree().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const detail::Lock repairing = detail::Lock::wait(tree.get(), "lock", detail::Lock::Kind::exclusive);
    CHECK(code_of([&] { repair(f, From::tar, f.rich.id); }) == errc::in_use);
  }
  {
    /// Comes in the middle of a repair.
    struct Remover final : ByteSource {
      Remover(RichStore& store, ByteSource& source) : of(store), from(source) {}
      std::size_t read(std::span<std::byte> into) override {
        if (!tried) refused = code_of([&] { of.store.remove(of.rich.id); }) == errc::in_use;
        tried = true;
        return from.read(into);
      }
      RichStore& of;
      ByteSource& from;
      bool tried = false, refused = false;
    };
    MemorySource tar(f.tar);
    Remover remover(f, tar);
    CHECK(f.store.repair(f.rich.id, {.source = &remover}).ok());
    CHECK(remover.refused);
    write_at(f.root() / "big", 5, "?!");
  }
  std::vector<std::thread> threads;
  std::vector<std::string> failures(4);
  for (std::string& failure : failures)
    threads.emplace_back([&] {
      try {
        repair(f, From::tar, f.rich.id);
      } catch (const Error& error) {
        if (error.code() != errc::in_use) failure = error.what();
      } catch (const std::exception& error) {
        failure = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) CHECK(failure == "");
  CHECK(f.verified(VerifyLevel::proving) == "");
  f.store.remove(f.rich.id);
  CHECK_FALSE(fs::exists(f.tree()));
}

namespace {

std::atomic<int> calls_left;
sys::Fate end_at_last(const char*) noexcept {
  if (--calls_left == 0) ::_exit(9);
  return {};
}

std::set<std::string> lines_of(const std::string& text) {
  std::set<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.insert(line);
  return lines;
}

}  // namespace

TEST_CASE("a repair that ends at any system call makes nothing worse, and the next one finishes") {
  RichStore f;
  const std::string whole = state_of(f.root());
  bool ended = false;
  for (int calls = 1; !ended; calls += 13) {
    INFO(calls << " calls");
    for (const Harm& harm : harms(f.opaque_mark()))
      if (!harm.needs_root) try {
          harm.done(f.root());
        } catch (const std::exception&) {
        }
    const std::set<std::string> before = lines_of(f.verified(VerifyLevel::full));
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      calls_left = calls;
      sys::hook = end_at_last;
      try {
        repair(f, From::tar, f.rich.id);
      } catch (...) {
      }
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    ended = WEXITSTATUS(status) == 0;
    for (const std::string& line : lines_of(f.verified(VerifyLevel::full))) {
      INFO(line);
      // But for directories in which something was exchanged, and what shows once a directory is there again.
      CHECK((before.contains(line) || line.ends_with(" time") || line.ends_with(" mode") || line.ends_with(" opaque")));
    }
    CHECK(told(repair(f, From::tar, f.rich.id).left) == "");
    check_whole(f, whole);
  }
}

TEST_CASE("a kept blob is the bytes as they came, and goes with the last layer that names it") {
  const ScratchDirectory scratch;
  LayerStore<> store(scratch.path() / "store");  // synced: blobs/ is made on demand
  const std::string blob = encode(CompressionPolicy::of<Gzip>(), rich_tar());
  const fs::path place = store.root() / "blobs/sha256" / digest_of<Sha256>(blob).hex();
  const ImportedLayer one = store.import(MemorySource(blob));
  CHECK_FALSE(fs::exists(store.root() / "blobs"));
  // Of a layer that is there already; but not another blob than its record names.
  CHECK(store.import(MemorySource(rich_tar()), {.keep_blob = true}).existed);
  CHECK_FALSE(fs::exists(store.root() / "blobs"));
  CHECK(store.import(MemorySource(blob), {.keep_blob = true}).existed);
  CHECK(content_of(place) == blob);
  // What became of it is put right by the next that brings it.
  fs::resize_file(place, 3);
  store.import(MemorySource(blob), {.keep_blob = true});
  CHECK(content_of(place) == blob);
  const Digest below = store.import(MemorySource(base_tar())).id;
  const ImportedLayer two = store.import(MemorySource(blob), {.parent = below, .expected_diff_id = one.diff_id()});
  CHECK(two.blob == one.blob);
  store.remove(one.id);
  CHECK(fs::exists(place));
  store.remove(two.id);
  CHECK_FALSE(fs::exists(place));
  CHECK(fs::is_empty(store.root() / "staging"));
}

TEST_CASE("a kept blob that a dead writer was about to take out is swept up") {
  RichStore f(true);
  const fs::path blob = f.store.root() / "blobs/sha256" / f.rich.blob.hex();
  REQUIRE(fs::exists(blob));
  const fs::path dead = f.store.root() / "staging/0123456789abcdef01234567";
  fs::create_directories(dead);
  write_file(dead / "orphan_blob", f.rich.blob.to_string());
  f.store.import(MemorySource(base_tar()));
  CHECK(fs::exists(blob));  // a layer names it
  fs::create_directories(dead);
  write_file(dead / "orphan_blob", f.rich.blob.to_string());
  fs::remove_all(f.store.root() / "layers/sha256" / f.rich.id.hex());
  f.store.import(MemorySource(base_tar()));
  CHECK_FALSE(fs::exists(blob));
}

TEST_CASE("a kept blob that is damaged is no source, and the next one is taken") {
  RichStore f(true);
  const std::string before = state_of(f.root());
  const Times times(f.root());
  write_at(f.root() / "big", 5, "?!");
  times.give_back();
  const fs::path blob = f.store.root() / "blobs/sha256" / f.rich.blob.hex();
  fs::resize_file(blob, 5000);
  CHECK(told(f.store.repair(f.rich.id).left) == "big content\n");
  CHECK(repair(f, From::gzip, f.rich.id).ok());
  check_whole(f, before);
}
