// Containers of backends that are no unions.
#include <strata/diff_writer.hpp>
#include <strata/layer_store.hpp>
#include <strata/mount/btrfs.hpp>
#include <strata/mount/copy.hpp>
#include <strata/mounter.hpp>

#include "support/import_entries.hpp"
#include "support/loop_filesystem.hpp"
#include "support/mount_files.hpp"
#include "support/tar_builder.hpp"

#include <sys/mount.h>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

struct Fixture {
  explicit Fixture(const fs::path& place = private_namespace().place) : scratch(place) {}

  Scratch scratch;
  LayerStore<> store{scratch.root() / "store", {.durability = Durability::none}};
  Mounter<Copy> mounter{store};
  Digest base = import(base_entries());
  Digest top = import(top_entries(), base);

  static std::vector<RawHeader> base_entries() {
    return {{.path = "./", .type = '5', .mode = "0000751", .mtime = "00000001750"},
            {.path = "./kept", .content = "base"},
            {.path = "./twin", .type = '1', .link = "./kept"},
            {.path = "./text", .content = "base"},
            {.path = "./dir/", .type = '5'},
            {.path = "./dir/below", .content = "base"},
            {.path = "./gone", .content = "base"}};
  }
  static std::vector<RawHeader> top_entries() { return {{.path = "new", .content = "top"}, {.path = ".wh.gone"}}; }
  Digest import(const std::vector<RawHeader>& entries, std::optional<Digest> parent = {}) {
    return import_entries(store, entries, std::move(parent));
  }
  fs::path container(const std::string& name) const { return store.root() / "containers" / name; }
  Digest diff_id(const Container& of) {
    MemorySink sink;
    return DiffWriter<>{}.write(store, of, sink).diff_id;
  }
};

/// Changes of every kind.
void change(const fs::path& root) {
  put(root / "text", "changed");  // "kept" has two names, which only a copy keeps together
  fs::remove(root / "new");
  fs::remove(root / "dir/below");
  put(root / "dir/again", "again");
  fs::create_symlink("text", root / "symlink");
  fs::create_hard_link(root / "dir/again", root / "link");
  fs::permissions(root / "dir/again", fs::perms(0640));
  set_attribute(root / "dir/again", "user.note", "note");
  for (const char* name : {"text", "dir/again", "dir", ""}) fs::last_write_time(root / name, 1234567890);
  const timespec times[2] = {{1234567890, 0}, {1234567890, 0}};
  REQUIRE(::utimensat(AT_FDCWD, (root / "symlink").c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

}  // namespace

TEST_CASE("a copied container is used where it is, and nothing is mounted") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  {
    const auto root = f.mounter.mount(f.top, "c");
    CHECK(root.path() == f.container("c") / "upper");
    CHECK(names(root.path()) == "dir kept new text twin");
    CHECK(inode(root.path() / "kept") == inode(root.path() / "twin"));
    CHECK(stat_of(root.path()).st_mtime == 01750);
    CHECK(fs::status(root.path()).permissions() == fs::perms(0751));
    CHECK_FALSE(table_entry(root.path()));
    CHECK_THAT(root.result().method, Catch::EndsWith(", in place"));
    put(root.path() / "kept", "changed");
  }
  CHECK(get(f.container("c") / "upper/kept") == "changed");
  const auto again = f.mounter.mount(f.top, "c");
  CHECK(get(again.path() / "kept") == "changed");
  CHECK(get(f.store.root() / "trees/sha256" / f.store.get(f.base).trees[0].hex() / "fs/kept") == "base");
  f.mounter.unmount("c");
  f.mounter.remove("c");
  CHECK_FALSE(fs::exists(f.container("c")));
}

TEST_CASE("a copied container can be mounted elsewhere, and read-only, and is in use then") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const fs::path place = f.scratch.directory("place");
  {
    auto root = f.mounter.mount(f.top, "c", {.target = place});
    CHECK(root.path() == place);
    CHECK(names(place) == "dir kept new text twin");
    CHECK(thrown([&] { f.mounter.remove("c"); }).code() == errc::in_use);
    CHECK(thrown([&] { f.mounter.mount(f.top, "c", {.target = place}); }).code() == errc::already_exists);
    REQUIRE(f.mounter.list().size() == 1);
    CHECK(f.mounter.list()[0].mounted);
    root.unmount();
    CHECK(names(place).empty());
  }
  const auto read_only = f.mounter.mount(f.top, "r", {.read_only = true});
  CHECK(read_only.path() == f.store.root() / "mounts/r");
  CHECK(get(read_only.path() / "kept") == "base");
  CHECK(write_error(read_only.path() / "kept") == EROFS);
}

TEST_CASE("a copied container gives the layer that an overlay gives of the same changes") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const auto copied = f.mounter.mount(f.top, "copied");
  const auto stacked = Mounter<>{f.store}.mount(f.top, "stacked");
  change(copied.path());
  change(stacked.path());
  const Digest diff_id = f.diff_id(copied);
  CHECK(diff_id == f.diff_id(stacked));
  const auto layer = f.store.commit(copied);
  CHECK(layer.diff_ids.back() == diff_id);
  MemorySink sink;
  DiffWriter<> writer;
  writer.write(f.store, copied, sink);
  MemorySource source(sink.text());
  writer.prove(f.store, copied, source);
  CHECK(f.store.verify(layer.id).damages.empty());
}

TEST_CASE("a copy that was not finished is made anew, and none is refused as a source of changes") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.mounter.mount(f.top, "c");
  fs::rename(f.container("c") / "upper", f.container("c") / "work/making");
  put(f.container("c") / "work/making/half", "half");
  const Container container = f.store.find_container("c").value();
  CHECK(container.whole);
  CHECK(thrown([&] { f.diff_id(container); }).code() == errc::refused);
  const auto root = f.mounter.mount(f.top, "c");
  CHECK(names(root.path()) == "dir kept new text twin");
}

TEST_CASE("a copy takes no option of overlay, and no other backend takes a copy") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  MountOptions options;
  options.overlay.index = true;
  CHECK_THAT(thrown([&] { f.mounter.mount(f.top, "c", options); }).what(), Catch::Contains("index"));
  CHECK_FALSE(fs::exists(f.container("c")));
  f.mounter.mount(f.top, "c");
  CHECK_THAT(thrown([&] { Mounter<>{f.store}.mount(f.top, "c"); }).what(), Catch::Contains("copy"));
}

TEST_CASE("what btrfs keeps of a chain is shared by those on top of it, also where two layers have the same tree") {
  STRATA_NEEDS_NAMESPACE
  const LoopFilesystem btrfs("btrfs");
  if (btrfs.place().empty()) {
    WARN("skipped: " << btrfs.why_not());
    return;
  }
  Fixture f(btrfs.place());
  const Mounter<Btrfs> mounter{f.store};
  // Top, base again, top again: what base brings back, top deletes once more.
  const Digest again = f.import(Fixture::base_entries(), f.top);
  const Digest last = f.import(Fixture::top_entries(), again);
  const auto shown = [&](const Digest& layer, const std::string& name) {
    return names(mounter.mount(layer, name).path());
  };
  CHECK(shown(last, "last") == "dir kept new text twin");
  CHECK(shown(again, "again") == "dir gone kept new text twin");
  CHECK(shown(f.base, "base") == "dir gone kept text twin");
  CHECK(shown(f.top, "top") == "dir kept new text twin");
  const fs::path kept = f.store.root() / "snapshots/btrfs/sha256";
  CHECK(std::distance(fs::directory_iterator(kept), fs::directory_iterator()) == 4);
  for (const char* name : {"last", "again"}) mounter.remove(name);
  f.store.remove(last);
  CHECK_FALSE(fs::exists(kept / last.hex()));
  f.store.gc({.min_age = std::chrono::seconds(0)});
  CHECK(std::distance(fs::directory_iterator(kept), fs::directory_iterator()) == 2);
}

TEST_CASE("making a copy can be watched and stopped, and leaves no new container") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  std::stop_source stop;
  stop.request_stop();
  MountOptions options;
  options.control.stop = stop.get_token();
  CHECK(thrown([&] { f.mounter.mount(f.top, "c", options); }).code() == errc::cancelled);
  CHECK_FALSE(fs::exists(f.container("c")));

  TarBuilder tar;
  for (int i = 0; i < 600; ++i) tar.add({.path = "file" + std::to_string(i), .content = "x"});
  tar.end();
  const Digest many = f.store.import(MemorySource(tar.bytes)).id;
  std::uint64_t entries = 0;
  options.control = {.observer = [&](const Progress& progress) { entries = progress.entries; }, .stop = {}};
  f.mounter.mount(many, "watched", options);
  CHECK(entries == 512);
}

TEST_CASE("a mount of a copy is in use also where something is mounted over it") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const fs::path place = f.scratch.directory("place");
  auto root = f.mounter.mount(f.top, "c", {.target = place});
  REQUIRE(::mount("over", place.c_str(), "tmpfs", 0, nullptr) == 0);
  CHECK(thrown([&] { f.mounter.remove("c"); }).code() == errc::in_use);
  CHECK(thrown([&] { root.unmount(); }).code() == errc::in_use);
  REQUIRE(::umount2(place.c_str(), 0) == 0);
  root.unmount();
  CHECK(fs::exists(f.container("c") / "upper/kept"));
}

TEST_CASE("containers of one name in two stores are not taken for each other") {
  STRATA_NEEDS_NAMESPACE
  Fixture one, two;
  const auto mounted = one.mounter.mount(one.top, "c", {.target = one.scratch.directory("place")});
  two.mounter.mount(two.top, "c");
  CHECK_FALSE(two.mounter.list()[0].mounted);
  two.mounter.remove("c");
}

TEST_CASE("what was made of a damaged tree goes when it is mended, and what was made of no layer when there is gc") {
  STRATA_NEEDS_NAMESPACE
  const LoopFilesystem btrfs("btrfs");
  if (btrfs.place().empty()) {
    WARN("skipped: " << btrfs.why_not());
    return;
  }
  Fixture f(btrfs.place());
  const Mounter<Btrfs> mounter{f.store};
  const fs::path tree = f.store.root() / "trees/sha256" / f.store.get(f.top).trees.back().hex() / "fs";
  put(tree / "new", "bad");
  CHECK(get(mounter.mount(f.top, "bad").path() / "new") == "bad");
  TarBuilder tar;
  for (const RawHeader& entry : Fixture::top_entries()) tar.add(entry);
  tar.end();
  MemorySource layer(tar.bytes);
  f.store.repair(f.top, {.source = &layer});
  CHECK(get(mounter.mount(f.top, "good").path() / "new") == "top");
  CHECK(get(mounter.mount(f.top, "bad").path() / "new") == "bad");  // a container's own

  const fs::path stray = f.store.root() / "snapshots/btrfs/sha256" / std::string(64, 'a');
  fs::create_directory(stray);
  f.store.gc();
  CHECK_FALSE(fs::exists(stray));
}
