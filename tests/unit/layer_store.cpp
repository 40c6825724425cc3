#include <strata/layer_store.hpp>

#include <strata/error.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/layer_entries.hpp"
#include "support/private_overlay.hpp"
#include "support/scratch.hpp"

#include <boost/filesystem/fstream.hpp>
#include <boost/filesystem/operations.hpp>

#include <sys/wait.h>

#include <regex>
#include <thread>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

const StoreOptions fast{.durability = Durability::none};

struct Fixture {
  ScratchDirectory scratch;
  LayerStore<> store{scratch.path() / "store", fast};

  ImportedLayer import(const std::string& bytes, const ImportOptions& options = {}) {
    return store.import(MemorySource(bytes), options);
  }
  std::string exported(const Digest& id) {
    MemorySink out;
    store.export_layer(id, out);
    return out.take();
  }
  /// Everything in the store but times, which drafts that come and go leave on staging/.
  std::string state() const {
    return std::regex_replace(short_tree((scratch.path() / "store").native()), std::regex(" @[0-9]+"), "");
  }
};

const std::string base = layer({dir("d"), file("d/a", "aaa"), file("b", "b")});

errc code_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    for (const errc code :
         {errc::bad_archive, errc::digest_mismatch, errc::not_found, errc::already_exists, errc::in_use, errc::refused,
          errc::limit_exceeded, errc::damaged, errc::cancelled, errc::wrong_store, errc::bad_argument})
      if (error.code() == code) return code;
    throw;
  }
  throw std::runtime_error("nothing was thrown");
}

}  // namespace

TEST_CASE("An imported layer is named by its chain and comes out byte for byte") {
  Fixture f;
  const ImportedLayer first = f.import(base, {.author = "me", .comment = "base"});
  CHECK_FALSE(first.existed);
  CHECK(first.id == digest_of<Sha256>(base));
  CHECK(first.diff_id() == first.id);
  CHECK(first.tar_size == base.size());
  CHECK(first.size == 4);
  CHECK(first.entries == 3);
  CHECK(first.blob == first.id);
  CHECK(first.author == "me");
  CHECK(f.exported(first.id) == base);

  const std::string second_tar = layer({whiteout(".wh.b")});
  const ImportedLayer second = f.import(second_tar, {.parent = first.id});
  CHECK(second.id == chain_id(first.id, digest_of<Sha256>(second_tar)));
  CHECK(second.diff_ids == std::vector{first.diff_id(), second.diff_id()});
  CHECK(f.exported(second.id) == second_tar);
  CHECK(f.store.chain(second.id).front().id == first.id);
  CHECK(f.store.children(first.id).at(0).id == second.id);
  CHECK(f.store.list().size() == 2);
}

TEST_CASE("The same layer again is there already, however it is compressed") {
  Fixture f;
  const ImportedLayer first = f.import(base);
  const std::string before = f.state();
  for (const CompressionPolicy& policy :
       {CompressionPolicy::of<Gzip>(), CompressionPolicy::of<Zstd>(), CompressionPolicy::of<Uncompressed>()}) {
    const ImportedLayer again = f.import(encode(policy, base));
    CHECK(again.existed);
    CHECK(again.id == first.id);
  }
  CHECK(f.state() == before);
}

TEST_CASE("A large layer goes through the threads and keeps its digests") {
  Fixture f;
  std::vector<RawHeader> entries{dir("many")};
  for (int i = 0; i < 300; ++i)
    entries.push_back(file("many/" + std::to_string(i), noise(20000, static_cast<unsigned>(i))));
  const std::string tar = layer(entries);
  for (const CompressionPolicy& policy :
       {CompressionPolicy::of<Gzip>(), CompressionPolicy::of<Zstd>(), CompressionPolicy::of<Uncompressed>()}) {
    Fixture g;
    const std::string blob = encode(policy, tar);
    std::uint64_t seen = 0;
    ImportOptions options;
    options.control.observer = [&](const Progress& progress) { seen = std::max(seen, progress.tar_bytes); };
    const ImportedLayer imported = g.import(blob, options);
    CHECK(imported.diff_id() == digest_of<Sha256>(tar));
    CHECK(imported.blob == digest_of<Sha256>(blob));
    CHECK(imported.media_type == policy.media_type);
    CHECK(g.exported(imported.id) == tar);
    CHECK(g.store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
    CHECK(seen > 4000000);
  }
}

TEST_CASE("Layers with the same tar share one tree, whatever their parents") {
  Fixture f;
  const Digest one = f.import(layer({dir("one")})).id;
  const Digest two = f.import(layer({dir("two")})).id;
  const std::string shared = layer({dir("s"), file("s/f")});
  const ImportedLayer on_one = f.import(shared, {.parent = one});
  const ImportedLayer on_two = f.import(shared, {.parent = two});
  CHECK(on_one.id != on_two.id);
  CHECK(on_one.tree() == on_two.tree());
  f.store.remove(on_one.id);
  CHECK(f.exported(on_two.id) == shared);
  f.store.remove(on_two.id);
  CHECK_FALSE(fs::exists(f.store.root() / "trees/sha256" / on_two.tree().hex()));
}

TEST_CASE("A layer that needs what is below has a tree for each chain") {
  Fixture f;
  const Digest one = f.import(layer({dir("d", "0000711"), file("d/x")})).id;
  const Digest two = f.import(layer({dir("d", "0000700"), file("d/y")})).id;
  const std::string needs = layer({file("d/new")});
  const ImportedLayer on_one = f.import(needs, {.parent = one});
  const ImportedLayer on_two = f.import(needs, {.parent = two});
  const ImportedLayer alone = f.import(needs);
  CHECK(on_one.tree() != on_two.tree());
  CHECK(alone.tree() != on_one.tree());
  for (const auto& [id, mode] :
       {std::pair{on_one.id, "d/ 711"}, std::pair{on_two.id, "d/ 700"}, std::pair{alone.id, "d/ 755"}}) {
    const fs::path out = f.scratch.path() / id.hex();
    f.store.unpack(id, out);
    CHECK_THAT(short_tree(out.native()), Catch::Contains(mode));
    CHECK(f.exported(id) == needs);
  }
}

TEST_CASE("A declared diff id saves the extraction, and is checked") {
  Fixture f;
  const Digest one = f.import(layer({dir("one")})).id;
  const ImportedLayer first = f.import(base);
  const ImportedLayer shared =
      f.import(encode(CompressionPolicy::of<Gzip>(), base), {.parent = one, .expected_diff_id = first.diff_id()});
  CHECK_FALSE(shared.existed);
  CHECK(shared.tree() == first.tree());
  CHECK(shared.entries == first.entries);
  CHECK(f.exported(shared.id) == base);
  const std::string before = f.state();
  CHECK(code_of([&] { f.import(layer({dir("other")}), {.expected_diff_id = first.diff_id()}); }) ==
        errc::digest_mismatch);
  CHECK(f.state() == before);
}

TEST_CASE("Bad input is an error and leaves the store as it was") {
  Fixture f;
  const Digest parent = f.import(base).id;
  const std::string before = f.state();
  const std::string good = layer({dir("n"), file("n/f", noise(3000)), file("n/g")});
  const std::string gz = encode(CompressionPolicy::of<Gzip>(), good);
  for (std::size_t cut = 0; cut < good.size() - 512; cut += 512) {
    INFO("tar cut at " << cut);
    CHECK_THROWS_AS(f.import(good.substr(0, cut)), Error);
  }
  for (std::size_t cut = 0; cut < gz.size(); cut += 97) {
    INFO("gzip cut at " << cut);
    CHECK_THROWS_AS(f.import(gz.substr(0, cut)), Error);
  }
  CHECK(code_of([&] { f.import(noise(5000)); }) == errc::bad_archive);
  CHECK(code_of([&] { f.import(good, {.expected_blob = digest_of<Sha256>("other")}); }) == errc::digest_mismatch);
  CHECK(code_of([&] { f.import(good, {.parent = digest_of<Sha256>("other")}); }) == errc::not_found);
  CHECK(code_of([&] { f.import(layer({file("../x")})); }) == errc::bad_archive);
  CHECK(code_of([&] {
          f.import(layer({soft_link("l", "/nowhere"), file("l/f")}), {.parent = parent});
        }) == errc::bad_archive);
  CHECK(code_of([&] { f.import(good, {.created = "yesterday"}); }) == errc::bad_argument);
  CHECK(f.state() == before);
}

TEST_CASE("Strict refuses what is odd in the tar itself, too") {
  const std::string good = layer({file("f")});
  const std::vector<std::string> odd = {
      layer({entry('Z', "unknown", "0000644", "x")}),
      layer({file("f")}).substr(0, 1024) + TarBuilder().pax({{"comment", "of nothing"}}).end().bytes,
      good + std::string(512, 'x'),
  };
  for (const std::string& tar : odd) {
    Fixture f;
    const std::string before = f.state();
    CHECK(code_of([&] { f.import(tar, {.conformance = Conformance::strict}); }) == errc::refused);
    CHECK(f.state() == before);
    const ImportedLayer imported = f.import(tar);
    CHECK(imported.report.total() == 1);
    CHECK(imported.report.events().at(0).rule == "tar");
  }
  Fixture f;
  f.import(good, {.conformance = Conformance::strict});
}

TEST_CASE("A tar without an end marker needs another proof of its end") {
  Fixture f;
  const std::string unmarked = base.substr(0, base.size() - 1024);
  CHECK(code_of([&] { f.import(unmarked); }) == errc::bad_archive);
  const ImportedLayer by_digest = f.import(unmarked, {.expected_blob = digest_of<Sha256>(unmarked)});
  CHECK(f.exported(by_digest.id) == unmarked);
  Fixture g;
  CHECK(g.import(encode(CompressionPolicy::of<Gzip>(), unmarked)).report.total() == 1);
  Fixture h;
  CHECK(h.import(unmarked, {.end = EndOfLayer::any}).report.total() == 1);
}

TEST_CASE("Removal is refused while something needs the layer, and names it") {
  Fixture f;
  const Digest parent = f.import(base).id;
  const Digest child = f.import(layer({file("c")}), {.parent = parent}).id;
  try {
    f.store.remove(parent);
    FAIL("removed");
  } catch (const Error& error) {
    CHECK(error.code() == errc::in_use);
    CHECK_THAT(error.what(), Catch::Contains(child.to_string()));
  }
  f.store.remove(child);
  f.store.remove(parent);
  CHECK(f.store.list().empty());
  CHECK(code_of([&] { f.store.remove(parent); }) == errc::not_found);
  CHECK(fs::is_empty(f.store.root() / "staging"));
  CHECK(fs::is_empty(f.store.root() / "trees/sha256"));
}

TEST_CASE("Ids may be abbreviated where that is unambiguous") {
  Fixture f;
  const Digest id = f.import(base).id;
  CHECK(f.store.resolve(id.to_string()) == id);
  CHECK(f.store.resolve(id.hex().substr(0, 6)) == id);
  CHECK(f.store.resolve("sha256:" + id.hex().substr(0, 6)) == id);
  CHECK(code_of([&] { (void)f.store.resolve("xyz"); }) == errc::not_found);
  CHECK(code_of([&] { (void)f.store.resolve("-x"); }) == errc::bad_argument);
  CHECK(code_of([&] { (void)f.store.resolve(std::string(64, id.hex()[0] == '0' ? '1' : '0')); }) == errc::not_found);
  std::string first_digits = id.hex().substr(0, 1);
  for (int i = 0; f.store.list().size() < 40; ++i) f.import(layer({file(std::to_string(i))}));
  bool ambiguous = false;
  for (const char digit : std::string("0123456789abcdef")) try {
      (void)f.store.resolve(std::string(1, digit));
    } catch (const Error& error) {
      ambiguous = ambiguous || error.code() == errc::bad_argument;
    }
  CHECK(ambiguous);
}

TEST_CASE("Verify finds what was changed, and names it") {
  const auto damaged = [](const std::function<void(const fs::path&)>& harm) {
    Fixture f;
    const ImportedLayer imported = f.import(base);
    REQUIRE(f.store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
    harm(f.store.root() / "trees/sha256" / imported.tree().hex());
    std::string found;
    for (const Damage& damage : f.store.verify(imported.id).damages) found += damage.path + ": " + damage.what + "\n";
    return found;
  };
  CHECK_THAT(
      damaged([](const fs::path& tree) { fs::ofstream(tree / "fs/d/a", std::ios::in | std::ios::out) << "Aaa"; }),
      Catch::Contains("d/a: its content has changed"));
  CHECK_THAT(damaged([](const fs::path& tree) { fs::resize_file(tree / "fs/d/a", 1); }),
             Catch::Contains("d/a: its size is 1 bytes instead of 3"));
  CHECK_THAT(damaged([](const fs::path& tree) { fs::remove(tree / "fs/b"); }), Catch::Contains("b: it is missing"));
  CHECK_THAT(damaged([](const fs::path& tree) { ::chmod((tree / "fs/b").c_str(), 0600); }),
             Catch::Contains("b: its mode is 0600 instead of 0644"));
  CHECK_THAT(damaged([](const fs::path& tree) { fs::ofstream(tree / "fs/stranger") << "x"; }),
             Catch::Contains("stranger: no entry of the layer"));
  CHECK_THAT(damaged([](const fs::path& tree) { ::setxattr((tree / "fs/b").c_str(), "user.new", "1", 1, 0); }),
             Catch::Contains("b: it has a new attribute"));
  CHECK_THAT(damaged([](const fs::path& tree) { fs::resize_file(tree / "recipe", 20); }), Catch::Contains(":"));
  // Zeros stand for what is missing, but not more of them than can be read.
  CHECK_THAT(damaged([](const fs::path& tree) {
               const std::string huge =
                   "strata recipe 1\nF" + std::string(2, '\0') + std::string(8, '\xff') + "\x7f" + std::string(8, '\0');
               fs::remove(tree / "fs/b");
               fs::ofstream(tree / "recipe") << encode(CompressionPolicy::of<Zstd>(), huge);
             }),
             Catch::Contains("more bytes than the layer tar had"));
}

TEST_CASE("Verify knows what a tree took from below") {
  const auto damaged = [](const std::function<void(const fs::path&)>& harm) {
    Fixture f;
    const ImportedLayer low = f.import(layer({dir("d"), file("d/a", "aaa"), file("b", "b")}));
    const ImportedLayer imported =
        f.import(layer({file("d/new", "n"), hard_link("copy", "d/a"), whiteout(".wh.b")}), {.parent = low.id});
    REQUIRE(f.store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
    harm(f.store.root() / "trees/sha256" / imported.tree().hex());
    std::string found;
    for (const Damage& damage : f.store.verify(imported.id).damages) found += damage.path + ": " + damage.what + "\n";
    return found;
  };
  CHECK_THAT(damaged([](const fs::path& tree) { fs::ofstream(tree / "fs/copy", std::ios::in | std::ios::out) << "A"; }),
             Catch::Contains("its content has changed"));
  CHECK_THAT(damaged([](const fs::path& tree) { fs::resize_file(tree / "fs/copy", 1); }),
             Catch::Contains("copy: its size is 1 bytes instead of 3"));
  CHECK_THAT(damaged([](const fs::path& tree) { ::chmod((tree / "fs/d").c_str(), 0700); }),
             Catch::Contains("d: its mode is 0700 instead of 0755"));
  CHECK_THAT(damaged([](const fs::path& tree) { fs::remove(tree / "fs/b"); }), Catch::Contains("b: it is missing"));
  CHECK_THAT(damaged([](const fs::path& tree) {
               fs::remove(tree / "fs/b");
               fs::ofstream(tree / "fs/b") << "b";
             }),
             Catch::Contains("b: it is no longer a whiteout"));
  CHECK_THAT(damaged([](const fs::path& tree) { fs::ofstream(tree / "fs/d/stranger") << "x"; }),
             Catch::Contains("d/stranger: no entry of the layer"));
  CHECK_THAT(damaged([](const fs::path& tree) {
               fs::copy_file(tree / "fs/copy", tree / "fs/other");
               fs::rename(tree / "fs/other", tree / "fs/copy");
             }),
             Catch::Contains("it is no longer one file with"));
  CHECK_THAT(damaged([](const fs::path& tree) { fs::remove(tree / "entries"); }), Catch::Contains("entries"));
}

TEST_CASE("Verify knows attributes that are gone, and opaque directories") {
  Fixture f;
  const ImportedLayer low = f.import(base);
  TarBuilder tar;
  tar.pax({{"SCHILY.xattr.user.note", "1"}}).add(dir("d")).add(whiteout("d/.wh..wh..opq"));
  const ImportedLayer imported = f.import(tar.end().bytes, {.parent = low.id});
  const fs::path directory = f.store.root() / "trees/sha256" / imported.tree().hex() / "fs/d";
  CHECK(f.store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
  REQUIRE(::removexattr(directory.c_str(), "user.note") == 0);
  const std::string mark = std::string(overlay_prefix(f.store.form())) + "opaque";
  REQUIRE(::removexattr(directory.c_str(), mark.c_str()) == 0);
  std::string found;
  for (const Damage& damage : f.store.verify(imported.id).damages) found += damage.path + ": " + damage.what + "\n";
  CHECK(found == "d: its attribute 'user.note' is gone\nd: it is no longer opaque\n");
}

TEST_CASE("Export refuses to give out a damaged layer") {
  Fixture f;
  const ImportedLayer imported = f.import(base);
  fs::ofstream(f.store.root() / "trees/sha256" / imported.tree().hex() / "fs/d/a", std::ios::in | std::ios::out)
      << "Aaa";
  NullSink sink;
  CHECK(code_of([&] { f.store.export_layer(imported.id, sink); }) == errc::damaged);
}

TEST_CASE("A damaged record is told where it is asked for, blocks nothing else, and importing the layer mends it") {
  const std::string top = layer({file("top")});
  const auto harms = std::vector<std::function<void(const fs::path&)>>{
      [](const fs::path& record) { fs::resize_file(record, 0); },
      [](const fs::path& record) { fs::resize_file(record, 20); },
      [](const fs::path& record) { fs::remove(record); },
  };
  for (const auto& harm : harms) {
    Fixture f;
    const Digest lower = f.import(base).id, other = f.import(layer({file("other")})).id;
    const ImportedLayer harmed = f.import(top, {.parent = lower});
    harm(f.store.root() / "layers/sha256" / harmed.id.hex() / "metadata.json");
    CHECK(code_of([&] { (void)f.store.find(harmed.id); }) == errc::damaged);
    CHECK(code_of([&] { (void)f.store.verify(harmed.id); }) == errc::damaged);
    CHECK(f.store.damaged_records() == std::vector{harmed.id});
    CHECK(f.store.list().size() == 2);
    f.store.remove(other);
    CHECK_FALSE(f.import(top, {.parent = lower}).existed);
    CHECK(f.store.damaged_records().empty());
    CHECK(f.store.get(harmed.id).trees == harmed.trees);
    CHECK(f.store.verify(harmed.id).ok());
    CHECK(fs::is_empty(f.store.root() / "staging"));
    // The same with the digest given, which makes a layer that is there known beforehand.
    harm(f.store.root() / "layers/sha256" / harmed.id.hex() / "metadata.json");
    CHECK_FALSE(f.import(top, {.parent = lower, .expected_diff_id = harmed.diff_id()}).existed);
    CHECK(f.store.verify(harmed.id).ok());
  }
}

TEST_CASE("A directory that is no store, or another's, is refused") {
  const ScratchDirectory scratch;
  fs::ofstream(scratch.directory("full") / "file") << "x";
  CHECK(code_of([&] { LayerStore<> store(scratch.path() / "full"); }) == errc::wrong_store);
  CHECK(code_of([&] { LayerStore<> store(scratch.path() / "none", {.create = false}); }) == errc::wrong_store);
  { LayerStore<Sha512> store(scratch.path() / "other", fast); }
  CHECK(code_of([&] { LayerStore<> store(scratch.path() / "other"); }) == errc::wrong_store);
  fs::ofstream(scratch.path() / "other/format")
      << "{\"version\": 99, \"hash\": \"sha512\", \"union_form\": \"overlay-user\"}";
  CHECK(code_of([&] { LayerStore<Sha512> store(scratch.path() / "other"); }) == errc::wrong_store);
}

TEST_CASE("A store can name its layers by SHA-512") {
  const ScratchDirectory scratch;
  LayerStore<Sha512> store(scratch.path() / "store", fast);
  const ImportedLayer one = store.import(MemorySource(base));
  const ImportedLayer two = store.import(MemorySource(layer({file("z")})), {.parent = one.id});
  CHECK(one.id == digest_of<Sha512>(base));
  CHECK(store.chain(two.id).size() == 2);
  MemorySink out;
  store.export_layer(one.id, out);
  CHECK(out.text() == base);
}

TEST_CASE("Content that later entries replace still comes out") {
  Fixture f;
  const std::string tar = layer({file("f", "one"), file("f", "two"), dir("d"), file("d/x", "deep"),
                                 file("d", "now a file"), hard_link("g", "f"), file("f", "three")});
  const ImportedLayer imported = f.import(tar);
  CHECK(f.exported(imported.id) == tar);
  CHECK(f.store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
}

TEST_CASE("A sparse file keeps its holes") {
  Fixture f;
  const std::string map = "2\n0\n4\n1048576\n4\n";
  const std::string content = map + std::string(512 - map.size(), '\0') + "headtail";
  const std::string tar = TarBuilder()
                              .pax({{"GNU.sparse.major", "1"},
                                    {"GNU.sparse.minor", "0"},
                                    {"GNU.sparse.name", "s"},
                                    {"GNU.sparse.realsize", "2097152"}})
                              .add(file("GNUSparseFile.0/s", content))
                              .end()
                              .bytes;
  const ImportedLayer imported = f.import(tar);
  const fs::path path = f.store.lowers(imported).front() / "s";
  struct stat st {};
  REQUIRE(::stat(path.c_str(), &st) == 0);
  CHECK(st.st_size == 2097152);
  CHECK(st.st_blocks * 512 < 100000);
  CHECK(f.exported(imported.id) == tar);
  CHECK(f.store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
}

TEST_CASE("A time that the filesystem can't hold is no damage") {
  Fixture f;
  RawHeader early = file("early"), late = file("late"), late_dir = dir("late-dir");
  early.mtime = base256(-99999999999, 12);
  late.mtime = late_dir.mtime = base256(99999999999999, 12);
  const std::string tar = layer({early, late, late_dir});
  const ImportedLayer imported = f.import(tar);
  CHECK(f.store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
  CHECK(f.exported(imported.id) == tar);
}

TEST_CASE("A cancelled import leaves nothing behind") {
  Fixture f;
  const std::string before = f.state();
  std::stop_source stop;
  ImportOptions options;
  options.control.stop = stop.get_token();
  options.control.observer = [&](const Progress&) { stop.request_stop(); };
  std::vector<RawHeader> entries;
  for (int i = 0; i < 100; ++i) entries.push_back(file(std::to_string(i), noise(50000)));
  CHECK(code_of([&] { f.import(layer(entries), options); }) == errc::cancelled);
  CHECK(f.state() == before);
}

TEST_CASE("A draft of a dead writer goes with the next import, one of a living writer stays") {
  Fixture f;
  fs::create_directories(f.store.root() / "staging/dead/tree/fs/deep");
  int ready[2], go[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(go) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // An import that waits in the middle of its input.
    struct Waiting final : ByteSource {
      std::size_t read(std::span<std::byte> into) override {
        if (step++ == 0) {
          std::memcpy(into.data(), base.data(), 512);
          return 512;
        }
        char byte = 'r';
        if (::write(ready_fd, &byte, 1) != 1 || ::read(go_fd, &byte, 1) < 0) ::_exit(3);
        return 0;
      }
      int step = 0, ready_fd = -1, go_fd = -1;
    } waiting;
    waiting.ready_fd = ready[1];
    waiting.go_fd = go[0];
    try {
      LayerStore<> other(f.store.root(), fast);
      other.import(waiting);
    } catch (const Error&) {
      ::_exit(0);  // the input was cut
    }
    ::_exit(1);
  }
  char byte;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  f.import(base);
  std::size_t drafts = 0;
  for (const auto& entry : fs::directory_iterator(f.store.root() / "staging"))
    drafts += entry.path().filename() != "dead" ? 1U : 100U;
  CHECK(drafts == 1);
  REQUIRE(::write(go[1], "g", 1) == 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(fs::is_empty(f.store.root() / "staging"));
  for (const int fd : {ready[0], ready[1], go[0], go[1]}) ::close(fd);
}

TEST_CASE("Threads that import, list and remove at once agree in the end") {
  Fixture f;
  const Digest parent = f.import(base).id;
  std::vector<std::thread> threads;
  std::vector<std::string> failures(8);
  for (unsigned t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      try {
        for (unsigned i = 0; i < 10; ++i) {
          const std::string shared = layer({file("shared", std::to_string(i))});
          f.import(shared, {.parent = parent});
          const Digest own = f.import(layer({file("own", std::to_string(t * 100 + i))}), {.parent = parent}).id;
          (void)f.store.list();
          if (i % 2 == 0) f.store.remove(own);
        }
      } catch (const std::exception& error) {
        failures[t] = error.what();
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) CHECK(failure == "");
  CHECK(f.store.list().size() == 1 + 10 + 8 * 5);
  for (const Layer& one : f.store.list()) CHECK(f.store.verify(one.id, {.level = VerifyLevel::proving}).ok());
  CHECK(fs::is_empty(f.store.root() / "staging"));
}

TEST_CASE("A layer's record survives its own JSON") {
  Layer one;
  one.diff_ids = {digest_of<Sha256>("a"), digest_of<Sha256>("b")};
  one.parent = one.diff_ids[0];
  one.id = chain_id(one.parent, one.diff_ids[1]);
  one.trees = one.diff_ids;
  one.root_tree = 1;
  one.author = "\"quoted\"\n\xff";
  one.blob = one.id;
  one.size = 1ULL << 60;
  const Layer again = layer_from_json(to_json(one));
  CHECK(again.id == one.id);
  CHECK(again.parent == one.parent);
  CHECK(again.trees == one.trees);
  CHECK(again.size == one.size);
  CHECK(code_of([] { (void)layer_from_json("{"); }) == errc::damaged);
  CHECK(code_of([] { (void)layer_from_json("{}"); }) == errc::damaged);
  CHECK(code_of([] { (void)layer_from_json("[1]"); }) == errc::damaged);
}
