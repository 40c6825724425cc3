#include <strata/cache_policy.hpp>
#include <strata/layer_manager.hpp>

#include "support/catch.hpp"
#include "support/managed_store.hpp"

#include <boost/filesystem.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <random>
#include <set>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

Digest digest(char c) { return digest_of<Sha256>(std::string_view(&c, 1)); }
CachedImage cached(char c, std::uint64_t bytes, bool needed = false) {
  return {.image = digest(c), .names = {}, .used = {}, .bytes = bytes, .needed = needed};
}

/// As du counts: blocks, each inode once.
std::uint64_t disk_usage(const fs::path& root) {
  std::uint64_t sum = 0;
  std::set<ino_t> seen;
  const auto count = [&](const fs::path& path) {
    struct stat st {};
    if (::lstat(path.c_str(), &st) == 0 && seen.insert(st.st_ino).second)
      sum += static_cast<std::uint64_t>(st.st_blocks) * 512;
  };
  for (const char* room : {"layers", "trees", "blobs", "images", "downloads", "tags", "leases", "staging"})
    if (fs::exists(root / room))
      for (const auto& entry : fs::recursive_directory_iterator(root / room)) count(entry.path());
  return sum;
}

using Cached = LayerManager<LayerStore<>, Mounter<Copy>, FakeSources>;

}  // namespace

TEST_CASE("The least recently used go first, as many as are needed, and none that something needs") {
  const std::vector<CachedImage> images{cached('a', 10), cached('b', 20, true), cached('c', 30), cached('d', 40)};
  const LeastRecentlyUsed policy{.limit = 100};
  CHECK(policy.evict(images, 100, 0).empty());
  CHECK(policy.evict(images, 101, 0) == std::vector{digest('a')});
  CHECK(policy.evict(images, 100, 11) == std::vector{digest('a'), digest('c')});
  CHECK(policy.evict(images, 100, 1000).empty());  // it will never fit
  CHECK(LeastRecentlyUsed().evict(images, 100, 100).empty());
  CHECK(KeepAll().evict(images, 100, 100).empty());
}

TEST_CASE("What a policy is shown: the images in order of use, what each would free, and what is needed") {
  ManagedStore f;
  FakeNetwork one(noisy_image({1, 2}, 100'000)), two(noisy_image({1, 3}, 50'000)), three(noisy_image({4}, 30'000));
  f.pull(one, "one");
  f.pull(two, "two");
  f.pull(three, "three");
  f.manager.images().touch(f.manager.images().get("one").digest);
  const Lease lease = f.store.lease();
  lease.add(f.manager.images().get("three").layer);

  struct Watch {
    std::vector<CachedImage>* seen;
    std::uint64_t* bytes;
    std::vector<Digest> evict(std::span<const CachedImage> images, std::uint64_t all, std::uint64_t) const {
      seen->assign(images.begin(), images.end());
      *bytes = all;
      return {};
    }
  };
  std::vector<CachedImage> seen;
  std::uint64_t bytes = 0;
  Cached watched(f.store, Mounter<Copy>(f.store), FakeSources{}, Watch{&seen, &bytes});
  CHECK(watched.trim().empty());
  REQUIRE(seen.size() == 3);
  CHECK(seen[0].names == std::vector<std::string>{"two"});
  CHECK(seen[1].names == std::vector<std::string>{"three"});
  CHECK(seen[2].names == std::vector<std::string>{"one"});
  CHECK(seen[1].needed);
  CHECK_FALSE(seen[0].needed);
  // Blobs and files don't compress; layers are shared by nobody, since the noise is of different sizes.
  CHECK(seen[0].bytes > 4 * 50'000);
  CHECK(seen[2].bytes > 4 * 100'000);
  CHECK(seen[2].bytes < 5 * 100'000);
  const std::uint64_t du = disk_usage(f.root);
  CHECK(bytes >= du);
  CHECK(bytes < du + 200'000);

  // What was told is what becomes free.
  f.manager.images().remove(seen[0].image);
  CHECK(disk_usage(f.root) + seen[0].bytes <= du + 20'000);
  CHECK(disk_usage(f.root) + seen[0].bytes + 20'000 >= du);
  CHECK(f.faults() == "");
}

TEST_CASE("A limit holds after each of many pulls, and what is in use stays") {
  ManagedStore f;
  constexpr std::uint64_t limit = 3'000'000;
  FakeNetwork* current = nullptr;
  Cached manager(f.store, Mounter<Copy>(f.store),
                 FakeSources{[&](std::string_view) { return AnySource(FakeSource(*current)); }},
                 LeastRecentlyUsed{limit});
  std::mt19937 random(11);
  const PrepareOptions squashed{.pull = {.when = PullOptions::When::missing, .owners = Owners::squash}};
  std::optional<MountedRoot> mounted;
  std::string in_use;
  int evicted = 0;
  for (int round = 0; round < 60; ++round) {
    const auto number = static_cast<unsigned>(random() % 25);
    FakeNetwork network(noisy_image({number % 3, 100 + number, 200 + number}, 60'000 + number * 3000));
    current = &network;
    const std::string name = "image" + std::to_string(number);
    const std::size_t before = manager.images().list().size();
    if (round % 10 == 5) {
      if (mounted) {
        mounted->unmount();
        mounted.reset();
        Mounter<Copy>(f.store).remove("c");
      }
      mounted.emplace(manager.prepare(name, "c", squashed));
      in_use = name;
    } else {
      manager.pull(name, {.name = name, .owners = Owners::squash});
    }
    if (manager.images().list().size() <= before) ++evicted;
    CAPTURE(round, name);
    CHECK(disk_usage(f.root) <= limit);
    CHECK(manager.images().find(name));
    if (!in_use.empty()) {
      CHECK(manager.images().find(in_use));
      CHECK(fs::exists(mounted->path() / ("file" + std::to_string(100 + std::stoul(in_use.substr(5))))));
    }
  }
  CHECK(evicted > 10);
  CHECK(f.faults() == "");
  mounted->unmount();
  Mounter<Copy>(f.store).remove("c");
}
