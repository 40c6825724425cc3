// Containers on thin devices. They need device mapper, and so mostly a guest (tests/guest/run.py).
#include <strata/diff_writer.hpp>
#include <strata/layer_store.hpp>
#include <strata/mount/device_mapper.hpp>
#include <strata/mounter.hpp>

#include "mount/block_filesystem.hpp"
#include "mount/dm_control.hpp"
#include "support/import_entries.hpp"
#include "support/mount_files.hpp"
#include "sys.hpp"
#include "tree/directory.hpp"

#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

constexpr std::uint64_t MiB = 1U << 20;

DeviceMapperOptions small_pool(DeviceMapperOptions::Filesystem filesystem = DeviceMapperOptions::Filesystem::ext4) {
  DeviceMapperOptions options;
  options.filesystem = filesystem;
  options.data_size = 512 * MiB;
  options.metadata_size = 16 * MiB;
  options.device_size = 512 * MiB;
  return options;
}

struct Fixture {
  Fixture(const DeviceMapperOptions& options, fs::path place)
      : home(std::move(place)), store(home, {}), mounter(store, {options}) {}

  fs::path home;
  LayerStore<> store;
  Mounter<DeviceMapper> mounter;

  Digest import(const std::vector<RawHeader>& entries, std::optional<Digest> parent = {}) {
    return import_entries(store, entries, std::move(parent));
  }
  Digest base() {
    return import({{.path = "./", .type = '5', .mode = "0000751", .mtime = "00000001750"},
                   {.path = "./kept", .content = "base"},
                   {.path = "./dir/", .type = '5'},
                   {.path = "./dir/below", .content = "base"},
                   {.path = "./gone", .content = "base"}});
  }
  Digest top() { return import({{.path = "new", .content = "top"}, {.path = ".wh.gone"}}, base()); }
  fs::path kept() const { return home / "snapshots/devicemapper"; }
  fs::path container(const std::string& name) const { return home / "containers" / name; }
  std::string devices() const { return names(kept() / "devices"); }
  Digest diff_id(const Container& of) {
    MemorySink sink;
    return DiffWriter<>{}.write(store, of, sink).diff_id;
  }
};

/// On a disk, which stays until the test's end.
struct Scratched : Scratch, Fixture {
  explicit Scratched(const DeviceMapperOptions& options = small_pool())
      : Scratch(fs::temp_directory_path()), Fixture(options, root() / "store") {}
  Unmounted unmounted{root()};
};

/// Changes of many kinds.
void change(const fs::path& root) {
  put(root / "kept", "changed");
  fs::remove(root / "new");
  fs::remove(root / "dir/below");
  put(root / "dir/again", "again");
  fs::create_symlink("kept", root / "symlink");
  fs::create_hard_link(root / "dir/again", root / "link");
  fs::permissions(root / "dir/again", fs::perms(0640));
  set_attribute(root / "dir/again", "user.note", "note");
  set_attribute(root / "kept", "trusted.note", "note");
  REQUIRE(::mkfifo((root / "fifo").c_str(), 0600) == 0);
  REQUIRE(::mknod((root / "null").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0);
  for (const char* name : {"kept", "dir/again", "dir", "fifo", "null", ""})
    fs::last_write_time(root / name, 1234567890);
  const timespec times[2] = {{1234567890, 7}, {1234567890, 7}};
  REQUIRE(::utimensat(AT_FDCWD, (root / "symlink").c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
}

std::vector<std::string> active() { return strata::detail::DmControl().names("strata-"); }

/// The kernel takes them down after the last user, not with it.
bool nothing_is_active() {
  for (int waited = 0; waited < 2000 && !active().empty(); ++waited)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return active().empty();
}

}  // namespace

#define STRATA_NEEDS_THIN_POOLS                                   \
  STRATA_NEEDS_NAMESPACE                                          \
  if (const auto probe = DeviceMapper{}.probe(); !probe.usable) { \
    WARN("skipped: " << probe.why);                               \
    return;                                                       \
  }

TEST_CASE("a container on a thin device lives: mounted, changed, unmounted, mounted again, removed") {
  STRATA_NEEDS_THIN_POOLS
  Scratched f;
  const Digest top = f.top();
  {
    auto root = f.mounter.mount(top, "c");
    CHECK(root.path() == f.container("c") / "upper");
    CHECK(names(root.path()) == "dir kept new");
    CHECK(stat_of(root.path()).st_mtime == 01750);
    CHECK(fs::status(root.path()).permissions() == fs::perms(0751));
    CHECK_THAT(root.result().method, Catch::Contains("thin snapshot with ext4"));
    const auto entry = table_entry(root.path());
    REQUIRE(entry);
    CHECK_THAT(entry->source, Catch::StartsWith("/dev/mapper/strata:c@"));
    put(root.path() / "kept", "changed");
    REQUIRE(f.mounter.list().size() == 1);
    CHECK(f.mounter.list()[0].mounted);
    CHECK(thrown([&] { f.mounter.remove("c"); }).code() == errc::in_use);
    CHECK(thrown([&] { f.mounter.mount(top, "c"); }).code() == errc::already_exists);
    {
      const FileDescriptor held(::open((root.path() / "kept").c_str(), O_RDONLY | O_CLOEXEC));
      const Error error = thrown([&] { root.unmount(); });
      CHECK(error.code() == errc::in_use);
      CHECK_THAT(error.what(), Catch::Contains("kept' open"));
    }
    root.unmount();
  }
  CHECK(nothing_is_active());
  CHECK(names(f.container("c") / "upper").empty());
  const Container container = f.store.find_container("c").value();
  CHECK_THAT(thrown([&] { f.diff_id(container); }).what(), Catch::Contains("isn't mounted"));
  {
    const fs::path place = f.directory("place");
    const auto root = f.mounter.mount(top, "c", {.target = place});
    CHECK(get(place / "kept") == "changed");
    CHECK(f.mounter.list()[0].mounted);
    CHECK(f.diff_id(container) == f.diff_id(root));
    f.mounter.unmount("c");
    CHECK_FALSE(table_entry(place));
    CHECK_FALSE(table_entry(f.container("c") / "upper"));
  }
  {
    const auto root = f.mounter.mount(top, "r", {.read_only = true});
    CHECK(root.path() == f.home / "mounts/r");
    CHECK(get(root.path() / "kept") == "base");
    CHECK(write_error(root.path() / "kept") == EROFS);
  }
  CHECK(f.devices() == "0 1 2 3 4");
  f.mounter.remove("c");
  CHECK_FALSE(fs::exists(f.container("c")));
  CHECK(f.devices() == "0 1 2 4");
  CHECK(nothing_is_active());
  MountOptions overlay;
  overlay.overlay.index = true;
  CHECK_THAT(thrown([&] { f.mounter.mount(top, "o", overlay); }).what(), Catch::Contains("index"));
}

TEST_CASE("of the same changes a thin device gives the layer that an overlay gives, on ext4 and on xfs") {
  STRATA_NEEDS_THIN_POOLS
  for (const auto filesystem : {DeviceMapperOptions::Filesystem::ext4, DeviceMapperOptions::Filesystem::xfs}) {
    Scratched f(small_pool(filesystem));
    const Digest top = f.top();
    const auto on_device = f.mounter.mount(top, "device");
    const auto stacked = Mounter<>{f.store}.mount(top, "stacked");
    change(on_device.path());
    change(stacked.path());
    const Digest diff_id = f.diff_id(on_device);
    CHECK(diff_id == f.diff_id(stacked));
    const auto layer = f.store.commit(on_device);
    CHECK(layer.diff_ids.back() == diff_id);
    // Upon the layers that are there, the new one.
    const auto next = f.mounter.mount(layer.id, "next");
    CHECK(get(next.path() / "dir/again") == "again");
    CHECK(names(next.path()) == "dir fifo kept link null symlink");
  }
}

TEST_CASE("devices of layers and containers that are gone are deleted, by the next mount or by clean") {
  STRATA_NEEDS_THIN_POOLS
  Scratched f;
  const Digest top = f.top();
  f.mounter.mount(top, "c").unmount();
  CHECK(f.devices() == "0 1 2 3");
  f.mounter.remove("c");
  CHECK(f.devices() == "0 1 2");
  f.store.remove(top);
  CHECK(f.devices() == "0 1 2");
  f.mounter.clean();
  CHECK(f.devices() == "0 1");
  f.store.gc({.min_age = std::chrono::seconds(0)});
  const Digest other = f.import({{.path = "other", .content = "other"}});
  const auto root = f.mounter.mount(other, "o");
  CHECK(names(root.path()) == "other");
  CHECK(names(f.kept() / "sha256") == other.hex());
  // A container whose directory somebody else removed.
  f.mounter.unmount("o");
  fs::remove_all(f.container("o"));
  f.mounter.clean();
  CHECK(f.devices() == "0 1");
}

TEST_CASE("a pool that is full is an error that says so, and works again with more room") {
  STRATA_NEEDS_THIN_POOLS
  DeviceMapperOptions options = small_pool();
  options.data_size = 16 * MiB;
  Scratched f(options);
  const Digest base = f.base();
  const Digest large = f.import({{.path = "large", .content = std::string(20 * MiB, 'x')}}, base);
  const Error error = thrown([&] { f.mounter.mount(large, "c"); });
  CHECK(error.code().value() == ENOSPC);
  CHECK_THAT(error.what(), Catch::Contains("is full: of its data ") && Catch::Contains("data_size"));
  CHECK_FALSE(fs::exists(f.container("c")));
  CHECK(nothing_is_active());
  // What was half made is deleted, and there is room for what is small.
  CHECK(get(f.mounter.mount(base, "small").path() / "kept") == "base");
  CHECK(nothing_is_active());
  options.data_size = 128 * MiB;
  const Mounter<DeviceMapper> larger(f.store, {options});
  CHECK(fs::file_size(larger.mount(large, "c").path() / "large") == 20 * MiB);
}

TEST_CASE("a pool without room for metadata is an error that says so, before the kernel gives it up") {
  STRATA_NEEDS_THIN_POOLS
  DeviceMapperOptions options = small_pool();
  options.metadata_size = MiB / 4;
  Scratched f(options);
  const Digest base = f.base();
  std::optional<Error> error;
  for (int i = 0; i < 400 && !error; ++i) try {
      f.mounter.mount(base, "c" + std::to_string(i)).unmount();
    } catch (const Error& thrown) {
      error = thrown;
    }
  REQUIRE(error);
  CHECK(error->code().value() == ENOSPC);
  CHECK_THAT(error->what(), Catch::Contains("is full: of its metadata ") && Catch::Contains("metadata_size"));
  // One that is there can be mounted all the same.
  CHECK(get(f.mounter.mount(base, "c0").path() / "kept") == "base");
}

TEST_CASE("a pool on block devices stays on them, and takes none that has something on it") {
  STRATA_NEEDS_THIN_POOLS
  Scratched f;
  const auto loop = [&](const char* name, std::uint64_t size) {
    put(f.root() / name, "");
    fs::resize_file(f.root() / name, size);
    return strata::detail::loop_device(f.root() / name);
  };
  const FileDescriptor data = loop("data", 256 * MiB), metadata = loop("metadata", 16 * MiB);
  const auto path_of = [](const FileDescriptor& device) {
    return fs::path("/dev/loop" + std::to_string(minor(strata::detail::stat_of(device.get()).rdev)));
  };
  DeviceMapperOptions options = small_pool();
  options.data = path_of(data);
  CHECK(thrown([&] { DeviceMapper{options}.mount({}); }).code() == errc::refused);
  options.metadata = path_of(metadata);
  const Mounter<DeviceMapper> mounter(f.store, {options});
  const Digest base = f.base();
  REQUIRE(::pwrite(metadata.get(), "x", 1, 0) == 1);
  CHECK_THAT(thrown([&] { mounter.mount(base, "c"); }).what(), Catch::Contains("has something on it"));
  REQUIRE(::pwrite(metadata.get(), "\0", 1, 0) == 1);
  put(mounter.mount(base, "c").path() / "kept", "changed");
  CHECK(get(mounter.mount(base, "c").path() / "kept") == "changed");
  CHECK_FALSE(fs::exists(f.kept() / "data"));
  CHECK_THAT(thrown([&] { f.mounter.mount(base, "d"); }).what(), Catch::Contains("it is on block devices"));
}

TEST_CASE("processes that are killed in the middle of mounts leave nothing that has to be repaired") {
  STRATA_NEEDS_THIN_POOLS
  Scratched f;
  std::vector<Digest> chain{f.base()};
  for (int i = 0; i < 6; ++i)
    chain.push_back(
        f.import({{.path = "layer" + std::to_string(i), .content = std::string(100000, 'x')}}, chain.back()));
  unsigned seed = 1;
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        for (std::size_t layer = 0;; ++layer) {
          const std::string name = "killed" + std::to_string(layer % 3);
          f.mounter.mount(chain[layer % chain.size()], name + "-" + std::to_string(layer)).unmount();
          f.mounter.remove(name + "-" + std::to_string(layer));
          if (layer % 5 == 4) fs::remove_all(f.kept() / "sha256" / chain.back().hex());
        }
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(1);
      }
    }
    seed = seed * 1103515245 + 12345;
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + (seed >> 16) % 300));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    for (const auto& state : f.mounter.list()) {
      f.mounter.unmount(state.container.name);
      if (round % 2 == 0) {
        const auto root = f.mounter.mount(state.container.layer, state.container.name);
        CHECK(get(root.path() / "kept") == "base");
      }
      f.mounter.remove(state.container.name);
    }
    // It takes down what a process made in the very moment when it was killed.
    f.mounter.mount(chain[0], "next").unmount();
    f.mounter.remove("next");
    CHECK(nothing_is_active());
  }
  const auto root = f.mounter.mount(chain.back(), "after");
  CHECK(names(root.path()) == "dir gone kept layer0 layer1 layer2 layer3 layer4 layer5");
  // Those of the layers, the first and the container's: whatever was half made is gone.
  const std::string devices = f.devices();
  CHECK(std::count(devices.begin(), devices.end(), ' ') == static_cast<std::ptrdiff_t>(chain.size()) + 1);
}

namespace {

/// Fails the call of that number from now on, of those that are this backend's own.
std::atomic<int> calls_until_failure{-1};
sys::Fate fail_one(const char* call) noexcept {
  for (const char* own :
       {"dm_ioctl", "block_ioctl", "mknodat", "symlinkat", "fsopen", "fsconfig_string", "fsconfig_flag",
        "fsconfig_create", "fsmount", "open_tree", "move_mount", "syncfs", "renameat2", "posix_spawn"})
    if (std::string_view(call) == own) return {.error = calls_until_failure-- == 0 ? EIO : 0};
  return {};
}

}  // namespace

TEST_CASE("whichever call of a mount fails, the next mount works, and nothing is left over") {
  STRATA_NEEDS_THIN_POOLS
  int failures = 0;
  // All of them pass; every fifth takes less than half a minute.
  for (int call = 0;; call += 5) {
    CAPTURE(call);
    Scratched f;
    const Digest base = f.base();
    calls_until_failure = call;
    sys::hook = fail_one;
    bool failed = false;
    try {
      f.mounter.mount(base, "c").unmount();
    } catch (const Error&) {
      failed = true;
    }
    sys::hook = nullptr;
    if (failed) CHECK_FALSE(fs::exists(f.container("c")));
    failures += failed;
    {
      const auto root = f.mounter.mount(base, "c");
      CHECK(get(root.path() / "kept") == "base");
    }
    f.mounter.remove("c");
    CHECK(f.devices() == "0 1");
    CHECK(nothing_is_active());
    if (calls_until_failure >= 0) break;  // there was no such call
  }
  CHECK(failures > 6);
}

TEST_CASE("a container outlasts the machine") {
  STRATA_NEEDS_THIN_POOLS
  const char* const boot = std::getenv("GUEST_BOOT");
  if (!boot) {
    WARN("skipped: this machine is not a guest");
    return;
  }
  const fs::path place = fs::temp_directory_path() / "outlasts";
  if (std::string(boot) == "1") {
    Fixture f(small_pool(), place);
    auto root = f.mounter.mount(f.top(), "c");
    put(root.path() / "kept", "changed");
    ::sync();
    root.keep();
    // The machine goes down with it mounted, and another mount half made.
    put(f.kept() / "making", "{\"device\": 77}");
    return;
  }
  Fixture f(small_pool(), place);
  const Unmounted unmounted(place);
  const Digest top = f.top();
  const Container container = f.store.find_container("c").value();
  CHECK_FALSE(f.mounter.list()[0].mounted);
  CHECK(thrown([&] { f.diff_id(container); }).code() == errc::refused);
  const auto root = f.mounter.mount(top, "c");
  CHECK(get(root.path() / "kept") == "changed");
  CHECK(names(root.path()) == "dir kept new");
  const Digest above = f.import({{.path = "above", .content = "above"}}, top);
  CHECK(names(f.mounter.mount(above, "d").path()) == "above dir kept new");
  CHECK_FALSE(fs::exists(f.kept() / "making"));
}
