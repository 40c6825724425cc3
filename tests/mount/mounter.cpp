#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include "mount/mount_table.hpp"
#include "support/import_entries.hpp"
#include "support/mount_files.hpp"

#include <sys/wait.h>

#include <functional>
#include <thread>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

/// A store on the private tmpfs, with a base layer and one on top of it.
struct Fixture {
  Scratch scratch;
  LayerStore<> store{scratch.root() / "store", {.durability = Durability::none}};
  Mounter<> mounter{store};
  Digest base = import({{.path = "./", .type = '5', .mode = "0000751", .mtime = "00000001750"},
                        {.path = "./kept", .content = "base"},
                        {.path = "./gone", .content = "base"}});
  Digest top = import({{.path = "new", .content = "top"}, {.path = ".wh.gone"}}, base);

  Digest import(const std::vector<RawHeader>& entries, std::optional<Digest> parent = {}) {
    return import_entries(store, entries, std::move(parent));
  }
  fs::path container(const std::string& name) const { return store.root() / "containers" / name; }
};

/// Runs `work` in a child and waits for it. The child ends without destructors, as if it had been killed.
void in_killed_process(const std::function<void()>& work) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      work();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

}  // namespace

TEST_CASE("a chain is mounted, written to, unmounted, and mounted again with what it holds") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  {
    auto root = f.mounter.mount(f.top, "web-1");
    CHECK(root.path() == f.store.root() / "mounts/web-1");
    CHECK(names(root.path()) == "kept new");
    put(root.path() / "mine", "written");
    root.unmount();
    CHECK_FALSE(table_entry(root.path()));
  }
  CHECK(get(f.container("web-1") / "upper/mine") == "written");
  const auto again = f.mounter.mount(f.top, "web-1");
  CHECK(get(again.path() / "mine") == "written");
  CHECK(again.container().layer == f.top);
}

TEST_CASE("the merged root has the attributes that the chain gives its root, writable or not") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  for (const bool read_only : {false, true}) {
    CAPTURE(read_only);
    MountOptions options;
    options.read_only = read_only;
    const auto root = f.mounter.mount(f.top, read_only ? "ro" : "rw", options);
    const auto st = stat_of(root.path());
    CHECK((st.st_mode & 07777) == 0751);
    CHECK(st.st_mtim.tv_sec == 01750);
  }
}

TEST_CASE("a chain that doesn't describe its root gets 0755") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const auto bare = f.import({{.path = "file", .content = "x", .mtime = "00000001000"}});
  const auto root = f.mounter.mount(bare, "bare");
  CHECK((stat_of(root.path()).st_mode & 07777) == 0755);
}

TEST_CASE("a read-only container refuses to be written, of one layer too") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  MountOptions options;
  options.read_only = true;
  const auto one = f.mounter.mount(f.base, "one", options);
  const auto two = f.mounter.mount(f.top, "two", options);
  CHECK(names(one.path()) == "gone kept");
  CHECK(names(two.path()) == "kept new");
  CHECK(write_error(one.path() / "x") == EROFS);
  CHECK(write_error(two.path() / "kept") == EROFS);
}

TEST_CASE("a chain of five hundred layers is mounted, writable and read-only") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  Digest last = f.base;
  for (int i = 1; i < 500; ++i)
    last = f.import({{.path = "number", .content = std::to_string(i)}, {.path = "only" + std::to_string(i)}}, last);
  for (const bool read_only : {false, true}) {
    CAPTURE(read_only);
    MountOptions options;
    options.read_only = read_only;
    const auto root = f.mounter.mount(last, read_only ? "ro" : "rw", options);
    CHECK(get(root.path() / "number") == "499");
    CHECK(fs::exists(root.path() / "only1"));
    CHECK((stat_of(root.path()).st_mode & 07777) == 0751);
    CHECK(write_error(root.path() / "x") == (read_only ? EROFS : 0));
  }
}

TEST_CASE("a name is mounted once, and stands for one layer in one mode") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  MountOptions read_only;
  read_only.read_only = true;
  {
    const auto root = f.mounter.mount(f.top, "c");
    const Error error = thrown([&] { f.mounter.mount(f.top, "c"); });
    CHECK(error.code() == errc::already_exists);
    CHECK_THAT(error.what(), Catch::Contains("mounted already") && Catch::Contains("mounts/c"));
  }
  CHECK_THAT(thrown([&] { f.mounter.mount(f.base, "c"); }).what(), Catch::Contains(f.top.to_string()));
  CHECK_THAT(thrown([&] { f.mounter.mount(f.top, "c", read_only); }).what(), Catch::Contains("can be written"));
  CHECK(thrown([&] { f.mounter.mount(f.top, "../c"); }).code() == errc::bad_argument);
}

TEST_CASE("a mount that fails leaves no new container, and an old one as it was") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  MountOptions impossible;
  impossible.overlay.set("nfs_export", "on");
  impossible.overlay.set("index", "off");
  CHECK(thrown([&] { f.mounter.mount(f.top, "c", impossible); }).code() == errc::refused);
  CHECK(f.store.containers().empty());
  CHECK(fs::is_empty(f.store.root() / "containers"));
  CHECK(fs::is_empty(f.store.root() / "staging"));
  f.mounter.mount(f.top, "c").unmount();
  put(f.container("c") / "upper/mine", "written");
  CHECK(thrown([&] { f.mounter.mount(f.top, "c", impossible); }).code() == errc::refused);
  CHECK(get(f.container("c") / "upper/mine") == "written");
}

TEST_CASE("a mount of a layer that isn't there makes nothing") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const auto absent = Digest::parse("sha256:" + std::string(64, '0'));
  CHECK(thrown([&] { f.mounter.mount(absent, "c"); }).code() == errc::not_found);
  CHECK(fs::is_empty(f.store.root() / "containers"));
}

TEST_CASE("a container is found where it is mounted, whatever the place is called") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  for (const std::string name : {"a b", "a:b,c", "a\nb", "a\\b", "\xff"}) {
    CAPTURE(name);
    MountOptions options;
    options.target = f.scratch.directory(name);
    f.mounter.mount(f.top, "c", options).keep();
    const auto list = Mounter<>(f.store).list();
    REQUIRE(list.size() == 1);
    REQUIRE(list[0].mounted);
    CHECK(list[0].mounted->target == options.target);
    CHECK(list[0].container.target == options.target);
    // A kernel that can't say has the table read instead.
    if (const auto source = strata::detail::source_at(options.target)) CHECK(*source == list[0].mounted->source);
    CHECK(thrown([&] { f.mounter.remove("c"); }).code() == errc::in_use);
    f.mounter.unmount("c");
    CHECK_FALSE(table_entry(options.target));
    CHECK_FALSE(f.mounter.list()[0].mounted);
  }
}

TEST_CASE("containers of one name in two stores are not mistaken for each other") {
  STRATA_NEEDS_NAMESPACE
  Fixture one;
  Fixture two;
  const auto root = one.mounter.mount(one.top, "c");
  const auto other = two.mounter.mount(two.base, "c");
  one.mounter.unmount("c");
  CHECK_FALSE(table_entry(root.path()));
  CHECK(table_entry(other.path()));
}

TEST_CASE("what a killed process mounted is listed, unmounted and removed by another") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  in_killed_process([&] {
    const auto root = f.mounter.mount(f.top, "c");
    put(root.path() / "mine", "written");
    ::_exit(0);
  });
  REQUIRE(f.mounter.list().size() == 1);
  CHECK(f.mounter.list()[0].mounted);
  f.mounter.unmount("c");
  f.mounter.unmount("c");  // not being mounted is success
  CHECK(get(f.container("c") / "upper/mine") == "written");
  f.mounter.remove("c");
  CHECK(f.mounter.list().empty());
  CHECK(fs::is_empty(f.store.root() / "mounts"));
  CHECK(fs::is_empty(f.store.root() / "staging"));
  CHECK(thrown([&] { f.mounter.unmount("c"); }).code() == errc::not_found);
  CHECK(thrown([&] { f.mounter.remove("c"); }).code() == errc::not_found);
}

TEST_CASE("a busy container can't be unmounted; the handle lets go of it all the same") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  FileDescriptor held;
  fs::path place;
  {
    auto root = f.mounter.mount(f.top, "c");
    place = root.path();
    held.reset(::open((place / "kept").c_str(), O_RDONLY | O_CLOEXEC));
    const Error error = thrown([&] { root.unmount(); });
    CHECK(error.code() == errc::in_use);
    CHECK_THAT(error.what(), Catch::Contains("kept"));
    CHECK(table_entry(place));
  }
  CHECK_FALSE(table_entry(place));
}

TEST_CASE("a mount that something lies over is left alone") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const auto root = f.mounter.mount(f.top, "c");
  REQUIRE(::mount("cover", root.path().c_str(), "tmpfs", 0, nullptr) == 0);
  CHECK_THAT(thrown([&] { f.mounter.unmount("c"); }).what(), Catch::Contains("cover"));
  REQUIRE(::umount2(root.path().c_str(), 0) == 0);
  f.mounter.unmount("c");
}

TEST_CASE("a container that is mounted in another mount namespace is in use here too") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  int ready[2];
  int done[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(done) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    char byte = 'x';
    ::close(done[1]);
    if (::unshare(CLONE_NEWNS) != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) ::_exit(1);
    try {
      const auto root = f.mounter.mount(f.top, "c");
      if (::write(ready[1], &byte, 1) != 1 || ::read(done[0], &byte, 1) < 0) ::_exit(1);
      ::_exit(0);
    } catch (const std::exception&) {
      ::_exit(1);
    }
  }
  char byte = 0;
  ::close(ready[1]);
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  const auto who = "process " + std::to_string(child);
  CHECK_FALSE(f.mounter.list()[0].mounted);
  CHECK_THAT(thrown([&] { f.mounter.mount(f.top, "c"); }).what(), Catch::Contains(who));
  CHECK_THAT(thrown([&] { f.mounter.remove("c"); }).what(), Catch::Contains(who));
  CHECK(thrown([&] { f.mounter.unmount("c"); }).code() == errc::in_use);
  ::close(done[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  f.mounter.mount(f.top, "c").unmount();
  for (const int fd : {ready[0], done[0]}) ::close(fd);
}

TEST_CASE("clean takes down mounts without a container, half-made containers and their mount points") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  MountOptions elsewhere;
  elsewhere.target = f.scratch.directory("elsewhere");
  f.mounter.mount(f.top, "orphan", elsewhere).keep();
  fs::rename(f.container("orphan"), f.scratch.root() / "taken");
  const auto living = f.mounter.mount(f.top, "living");
  fs::create_directories(f.container("half") / "upper");
  fs::create_directories(f.container("precious") / "upper");
  put(f.container("precious") / "upper/data", "x");
  fs::create_directory(f.store.root() / "mounts/half");

  const auto cleaned = f.mounter.clean();
  CHECK(cleaned.size() == 3);
  CHECK_FALSE(table_entry(elsewhere.target));
  CHECK(table_entry(living.path()));
  CHECK_FALSE(fs::exists(f.container("half")));
  CHECK_FALSE(fs::exists(f.store.root() / "mounts/half"));
  CHECK(fs::exists(f.container("precious") / "upper/data"));
  CHECK(f.mounter.clean().empty());
}

TEST_CASE("a volatile container that can't be mounted again says what to do") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  MountOptions options;
  options.overlay.set("volatile", "");
  f.mounter.mount(f.top, "c", options).unmount();
  const Error error = thrown([&] { f.mounter.mount(f.top, "c"); });
  CHECK_THAT(error.what(), Catch::Contains("volatile") && Catch::Contains("work/incompat"));
}

TEST_CASE("a layer that a container needs isn't removed") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.mounter.mount(f.top, "c").unmount();
  CHECK_THAT(thrown([&] { f.store.remove(f.top); }).what(), Catch::Contains("c"));
  f.mounter.remove("c");
  f.store.remove(f.top);
}

TEST_CASE("many threads mount, and of those that want one name one gets it") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  std::atomic<int> got{0};
  std::atomic<int> refused{0};
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      try {
        f.mounter.mount(f.top, "own" + std::to_string(i)).keep();
        f.mounter.mount(f.top, "shared").keep();
        ++got;
      } catch (const Error& error) {
        ++(error.code() == errc::already_exists ? refused : wrong);
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(got == 1);
  CHECK(refused == 7);
  CHECK(wrong == 0);
  CHECK(f.mounter.list().size() == 9);
  threads.clear();
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      try {
        f.mounter.unmount("own" + std::to_string(i));
        f.mounter.remove("own" + std::to_string(i));
        f.mounter.unmount("shared");
      } catch (const Error&) {
        ++wrong;
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  f.mounter.remove("shared");
  CHECK(f.mounter.list().empty());
}
