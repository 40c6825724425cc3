#include <strata/layer_manager.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/managed_store.hpp"

#include <boost/filesystem/fstream.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <random>
#include <stop_token>
#include <thread>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;
using std::chrono::seconds;

namespace {

/// What a pull throws; empty: nothing.
std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void wait_until(const std::function<bool()>& true_now) {
  while (!true_now()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace

TEST_CASE(
    "An image is pulled: its layers, its documents byte for byte, its name, and its blobs if they are to be kept") {
  const bool keep = GENERATE(true, false);
  ManagedStore f;
  FakeNetwork network(noisy_image({1, 2, 3}));
  const Image image = f.pull(network, "app:1", {.keep_blobs = keep});
  CHECK(image.manifest == network.image.top);
  CHECK(image.config.bytes == network.image.config.document().bytes);
  CHECK(image.layer == network.image.layer());
  CHECK(image.names == std::vector<std::string>{"app:1"});
  CHECK_FALSE(image.made);
  CHECK(f.store.resolve("app:1") == image.layer);
  CHECK(f.store.chain(image.layer).size() == 3);
  CHECK(network.bytes == f.blob_bytes(network.image));
  CHECK(f.count("blobs/sha256") == (keep ? 3U : 0U));
  CHECK(f.count("downloads") == 0);
  CHECK(f.count("staging") == 0);
  CHECK(f.faults() == "");
  const Layer base = f.store.chain(image.layer).front();
  CHECK(base.created == "2024-02-01T00:00:00Z");
  CHECK(base.author == "someone");
  CHECK(base.comment == "step");

  SECTION("again, and nothing is transferred") {
    CHECK(f.pull(network, "app:1", {.keep_blobs = keep}).digest == image.digest);
    CHECK(network.bytes == f.blob_bytes(network.image));
    CHECK(network.documents == 1);
  }
  SECTION("and pushed byte for byte") {
    if (!keep) return;
    TakenImage taken;
    CHECK(f.manager.push("app:1", AnySink(FakeSink(taken))) == network.image.top);
    CHECK(taken.blobs == network.image.blobs);
  }
  SECTION("and stays, while what it isn't made of goes") {
    f.import("alone");
    CHECK(f.gc().layers.size() == 1);
    CHECK(f.manager.images().get("app:1").digest == image.digest);
    CHECK(f.count("blobs/sha256") == (keep ? 3U : 0U));
  }
  SECTION("and removed with all that it was") {
    CHECK(f.manager.images().remove(image.digest).size() == 3);
    CHECK(f.store.list().empty());
    CHECK(f.store.tags().empty());
    CHECK(f.count("images/sha256") == 0);
    CHECK(f.count("blobs/sha256") == 0);
    CHECK(f.count("trees/sha256") == 0);
  }
}

TEST_CASE(
    "Blobs that weren't kept are fetched by a later pull that keeps them, and layers that are stored aren't extracted "
    "anew") {
  ManagedStore f;
  FakeNetwork network(noisy_image({1, 2}));
  f.pull(network, "app:1", {.keep_blobs = false});
  f.pull(network, "app:1", {.keep_blobs = true});
  CHECK(f.count("blobs/sha256") == 2);
  CHECK(network.bytes == 2 * f.blob_bytes(network.image));
  CHECK(f.faults() == "");
}

TEST_CASE("One blob in several layers is transferred once") {
  ManagedStore f;
  const std::string tar = layer({file("same", noise(5000))});
  FakeNetwork network(image_of({tar, tar, layer({file("other")}), tar}));
  const Image image = f.pull(network);
  CHECK(f.store.chain(image.layer).size() == 4);
  CHECK(network.opened == 2);
  CHECK(f.count("downloads") == 0);
  CHECK(f.faults() == "");
}

TEST_CASE("A transfer that breaks off goes on where it ended") {
  ManagedStore f;
  FakeNetwork network(noisy_image({1, 2}, 200'000));
  network.piece = 10'000;
  network.break_after = 70'000;
  CHECK(error_of([&] { f.pull(network); }).find("reset") != std::string::npos);
  CHECK(f.manager.images().list().empty());
  CHECK(f.count("downloads") >= 1);
  CHECK(f.count("staging") == 0);
  network.break_after = UINT64_MAX;
  f.pull(network);
  CHECK(network.bytes == f.blob_bytes(network.image));
  CHECK(f.count("downloads") == 0);
  CHECK(f.faults() == "");
}

TEST_CASE("Bytes of an earlier transfer that are bad are dropped, and fetched once from the start") {
  ManagedStore f;
  FakeNetwork network(noisy_image({1, 2}, 200'000));
  const Descriptor& blob = network.image.manifest.layers[1];
  fs::create_directories(f.root / "downloads");
  const bool complete = GENERATE(true, false);
  fs::ofstream(f.root / ("downloads/sha256-" + blob.digest.hex()))
      << (complete ? std::string(blob.size, 'x') : std::string(5000, 'x'));
  f.pull(network);
  CHECK(f.faults() == "");
  CHECK(f.count("downloads") == 0);
  CHECK(f.count("blobs/sha256") == 2);
  CHECK(network.bytes <= f.blob_bytes(network.image) + blob.size);
}

TEST_CASE("What lies is refused, by its layer's digest, and nothing of it is left") {
  ManagedStore f;
  FakeNetwork network(noisy_image({1, 2, 3}));
  const Descriptor blob = network.image.manifest.layers[1];
  const std::string good = network.image.blobs[blob.digest];
  std::string wrong = good;
  SECTION("other bytes") { wrong = encode(compression_by_name("gzip"), layer({file("evil", noise(10'000, 66))})); }
  SECTION("a bit") { wrong[wrong.size() / 2] = static_cast<char>(wrong[wrong.size() / 2] ^ 1); }
  SECTION("too short") { wrong.resize(wrong.size() / 2); }
  SECTION("too long") { wrong += "more"; }
  SECTION("endless") { network.endless = true; }
  SECTION("nothing") { wrong.clear(); }
  if (wrong != good) network.lies[blob.digest] = wrong;
  const std::string error = error_of([&] { f.pull(network); });
  CAPTURE(error);
  // Of those that are endless, the base is first.
  const Descriptor& blamed = network.image.manifest.layers[network.endless ? 0 : 1];
  CHECK(error.find(blamed.digest.to_string()) != std::string::npos);
  CHECK(f.manager.images().list().empty());
  CHECK(f.store.tags().empty());
  CHECK_FALSE(fs::exists(f.root / ("downloads/sha256-" + blob.digest.hex())));
  CHECK(f.count("staging") == 0);
  CHECK(f.faults() == "");
  CHECK_FALSE(f.store.find(network.image.layer()));
  network.endless = false;
  network.lies.clear();
  f.pull(network);
  CHECK(f.faults() == "");
}

TEST_CASE("What is loaded is called by its full name, and never as what it may not be") {
  struct Named : FakeSource {
    Named(FakeNetwork& network, std::string called) : FakeSource(network), name_(std::move(called)) {}
    std::string image_name() const { return name_; }
    std::string name_;
  };
  ManagedStore f;
  FakeNetwork network(noisy_image({1}));
  const auto names = [&](const std::string& called) {
    for (const Tag& tag : f.store.tags()) f.store.untag(tag.name);
    return f.manager.pull(AnySource(Named(network, called)), "", {.owners = Owners::squash}).names;
  };
  using Names = std::vector<std::string>;
  const std::string hex(64, 'a');
  CHECK(names("debian") == Names{"docker.io/library/debian:latest"});
  CHECK(names("registry.example:5000/a/b:1") == Names{"registry.example:5000/a/b:1"});
  CHECK(names("localhost/Images:latest") == Names{"localhost/Images:latest"});
  CHECK(names("localhost/no name:latest").empty());
  CHECK(names("debian@sha256:" + hex).empty());
  CHECK(names("No Name").empty());
  CHECK(names("").empty());
  for (const std::string& name : {"sha256:" + hex, hex.substr(0, 12)})
    for (const std::string& called : names(name)) CHECK(called.starts_with("docker.io/library/"));
}

TEST_CASE("More bytes than are allowed, or than there is room for, aren't begun") {
  ManagedStore f;
  FakeNetwork network(noisy_image({1, 2, 3}));
  const std::uint64_t bytes = f.blob_bytes(network.image);
  CHECK(fails_with(errc::limit_exceeded, [&] { f.pull(network, "app:1", {.max_bytes = bytes - 1}); }));
  CHECK(network.opened == 0);
  CHECK(f.store.list().empty());
  f.pull(network, "app:1", {.max_bytes = bytes});
  f.pull(network, "app:1", {.max_bytes = 0});  // all of it is there

  // More than any disk has, twice: nor is the sum too small since it is too large.
  FakeNetwork lying(noisy_image({4, 5}));
  for (Descriptor& layer : lying.image.manifest.layers) layer.size = std::numeric_limits<std::int64_t>::max();
  lying.image.top = lying.image.manifest.document();
  const std::string error = error_of([&] { f.pull(lying, "app:2"); });
  CAPTURE(error);
  CHECK(error.find("No space left on device") != std::string::npos);
  CHECK(lying.opened == 0);
}

TEST_CASE("A config that names other layers than the blobs have is refused") {
  ManagedStore f;
  MadeImage image = noisy_image({1, 2});
  image.config.diff_ids[1] = image.config.diff_ids[0];
  const Document config = image.config.document();
  image.blobs[config.digest] = config.bytes;
  image.manifest.config = config.descriptor();
  image.top = image.manifest.document();
  FakeNetwork network(image);
  CHECK(error_of([&] { f.pull(network); }).find(image.manifest.layers[1].digest.to_string()) != std::string::npos);
  CHECK(f.store.list().size() == 1);  // the base is right
  CHECK(f.manager.images().list().empty());
  CHECK(f.faults() == "");
}

TEST_CASE("A manifest and a config of different numbers of layers, and an image without layers, are refused") {
  ManagedStore f;
  MadeImage image = noisy_image({1, 2});
  const bool none = GENERATE(true, false);
  image.manifest.layers.resize(none ? 0 : 1);
  if (none) image.config.diff_ids.clear();
  if (none) image.config.history.clear();
  const Document config = image.config.document();
  image.blobs[config.digest] = config.bytes;
  image.manifest.config = config.descriptor();
  image.top = image.manifest.document();
  FakeNetwork network(image);
  CHECK(fails_with(none ? errc::unsupported : errc::bad_archive, [&] { f.pull(network); }));
  CHECK(f.store.list().empty());
}

TEST_CASE("Of an index the image of the platform is pulled, and the index noted") {
  ManagedStore f;
  MadeImage image = noisy_image({1});
  const Document manifest = image.top;
  ImageIndex index;
  index.manifests.push_back(manifest.descriptor());
  index.manifests.back().platform = Platform::host();
  Descriptor other = Document::of("{}", media_type::oci_manifest).descriptor();
  other.platform = Platform::parse("linux/s390x");
  index.manifests.push_back(other);
  image.blobs[manifest.digest] = manifest.bytes;
  image.top = index.document();
  FakeNetwork network(image);
  const Image pulled = f.pull(network);
  CHECK(pulled.digest == manifest.digest);
  CHECK(pulled.index == image.top.digest);
  CHECK(fails_with(errc::not_found, [&] { f.pull(network, "x", {.platform = Platform::parse("plan9/mips")}); }));
}

TEST_CASE("Ten threads that pull overlapping images transfer each blob once") {
  ManagedStore f;
  const bool keep = GENERATE(true, false);
  FakeNetwork one(noisy_image({1, 2, 3, 4}, 100'000)), other(noisy_image({1, 2, 5, 6}, 100'000));
  one.delay_ms = other.delay_ms = 1;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 10; ++i)
      threads.emplace_back([&, i] { f.pull(i % 2 ? one : other, i % 2 ? "one" : "other", {.keep_blobs = keep}); });
  }
  std::uint64_t expected = f.blob_bytes(one.image) + f.blob_bytes(other.image);
  for (int i = 0; i < 2; ++i) expected -= one.image.manifest.layers[static_cast<std::size_t>(i)].size;
  CHECK(one.bytes + other.bytes == expected);
  CHECK(one.documents + other.documents == 2);
  CHECK(f.store.list().size() == 6);
  CHECK(f.count("downloads") == 0);
  CHECK(f.count("blobs/sha256") == (keep ? 6U : 0U));
  CHECK(f.faults() == "");
}

TEST_CASE("Several processes that pull overlapping images transfer each blob once") {
  ManagedStore f;
  const fs::path counts = f.scratch.path() / "counts";
  FakeNetwork one(noisy_image({1, 2, 3}, 100'000)), other(noisy_image({3, 1, 2}, 100'000)),
      third(noisy_image({1, 2, 4}, 100'000));
  for (FakeNetwork* network : {&one, &other, &third}) {
    network->count_fd = ::open(counts.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    network->delay_ms = 1;
  }
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      try {
        ManagedStore& mine = f;
        const LayerStore<> store(mine.root, {.durability = Durability::none});
        FakeNetwork* const networks[] = {&one, &other, &third};
        f.pull(*networks[i % 3], "image" + std::to_string(i % 3));
        ::_exit(0);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        ::_exit(1);
      }
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
  }
  std::uint64_t expected = third.image.manifest.layers[2].size + f.blob_bytes(one.image);
  CHECK(fs::file_size(counts) == expected);
  CHECK(f.manager.images().list().size() == 3);
  CHECK(f.count("downloads") == 0);
  CHECK(f.faults() == "");
  for (FakeNetwork* network : {&one, &other, &third}) ::close(network->count_fd);
}

TEST_CASE("A pull that is cancelled ends soon, leaves no draft, and a later one goes on") {
  ManagedStore f;
  FakeNetwork network(noisy_image({1, 2, 3}, 300'000));
  network.piece = 20'000;
  std::mt19937 random(7);
  std::chrono::milliseconds slowest(0);
  for (int round = 0; round < 20; ++round) {
    network.delay_ms = 1;
    network.stall = round % 4 == 0;
    std::stop_source stop;
    PullOptions options;
    options.control.stop = stop.get_token();
    bool cancelled = false;
    std::chrono::steady_clock::time_point asked;
    {
      const std::jthread canceller([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 40));
        asked = std::chrono::steady_clock::now();
        stop.request_stop();
      });
      try {
        f.pull(network, "app:1", options);
      } catch (const Error& error) {
        cancelled = error.code() == errc::cancelled;
        INFO(error.what());
        CHECK(cancelled);
      }
    }
    if (cancelled)
      slowest = std::max(
          slowest, std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - asked));
    CHECK(f.count("staging") == 0);
    CHECK(f.faults() == "");
  }
  std::cout << "the slowest cancellation took " << slowest.count() << " ms\n";
  CHECK(slowest < seconds(1));
  network.stall = false;
  network.delay_ms = 0;
  f.pull(network);
  CHECK(network.bytes <= f.blob_bytes(network.image) + 21 * 3 * network.piece);
  CHECK(f.count("downloads") == 0);
  CHECK(f.faults() == "");
}

TEST_CASE("A pull whose process is killed leaves bytes that the next one goes on with") {
  ManagedStore f;
  FakeNetwork network(noisy_image({1, 2}, 300'000));
  network.piece = 10'000;
  network.delay_ms = 2;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    f.pull(network);
    ::_exit(0);
  }
  const fs::path first = f.root / ("downloads/sha256-" + network.image.manifest.layers[0].digest.hex());
  wait_until([&] {
    boost::system::error_code ignored;
    return fs::exists(first, ignored) && fs::file_size(first, ignored) > 20'000;
  });
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  network.delay_ms = 0;
  f.pull(network);
  CHECK(network.bytes <= f.blob_bytes(network.image) - 20'000);
  f.gc();  // what the process held
  CHECK(f.faults() == "");
}

TEST_CASE("A broken download is garbage once it is old, and nobody has it") {
  ManagedStore f;
  FakeNetwork network(noisy_image({1}, 300'000));
  network.break_after = 5000;
  CHECK_FALSE(error_of([&] { f.pull(network); }).empty());
  const std::size_t broken = f.count("downloads");
  CHECK(broken == 2);  // with the config
  CHECK(f.store.leftovers().size() == broken);
  CHECK(f.store.gc().downloads.empty());
  CHECK(f.gc().downloads.size() == broken);
  CHECK(f.count("downloads") == 0);
}

TEST_CASE("The progress of a pull only grows, and ends with all layers done") {
  ManagedStore f;
  FakeNetwork network(noisy_image({1, 2}, 100'000));
  network.piece = 1000;
  PullOptions options;
  std::uint64_t bytes = 0;
  ImageProgress last;
  bool grows = true;
  options.control.observer = [&](const ImageProgress& progress) {
    grows = grows && progress.bytes >= bytes && progress.bytes <= progress.total_bytes;
    bytes = progress.bytes;
    last = progress;
  };
  f.pull(network, "app:1", options);
  CHECK(grows);
  CHECK(last.total_bytes == f.blob_bytes(network.image));
  CHECK(last.bytes == last.total_bytes);
  for (const LayerProgress& layer : last.layers) {
    CHECK(layer.phase == LayerProgress::Phase::done);
    CHECK(layer.bytes == layer.layer.size);
  }
  f.pull(network, "app:1", options = {.control = options.control});
  for (const LayerProgress& layer : last.layers) CHECK(layer.phase == LayerProgress::Phase::existed);
}
