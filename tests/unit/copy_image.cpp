#include <strata/layer_source.hpp>
#include <strata/transport/docker_archive.hpp>
#include <strata/transport/oci_layout.hpp>

#include "conformance/layer_source_suite.hpp"
#include "support/scratch.hpp"

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>

using namespace strata;
using namespace strata::test;

namespace {

/// A source in memory, for which each test has its own way to give a blob.
struct Scripted {
  TestImage image;
  std::function<std::unique_ptr<ByteSource>(const Descriptor&, const std::string&, const std::stop_token&)> give;
  std::mutex mutex = {};
  std::multiset<Digest> opened = {};
};

class ScriptedSource {
 public:
  static constexpr bool local = true;
  explicit ScriptedSource(Scripted& script) : script_(&script), held_(script.image) {}
  std::string name() const { return "a script"; }
  Document top(const std::stop_token& stop) { return held_.top(stop); }
  Document document(const Descriptor& one, const std::stop_token& stop) { return held_.document(one, stop); }
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset, const std::stop_token& stop) {
    {
      const std::lock_guard lock(script_->mutex);
      script_->opened.insert(blob.digest);
    }
    if (script_->give) return script_->give(blob, script_->image.blobs.at(blob.digest), stop);
    return held_.open(blob, offset, stop);
  }

 private:
  Scripted* script_;
  ImageInMemory held_;
};

/// Never ends by itself.
class Endless final : public ByteSource {
 public:
  explicit Endless(std::stop_token stop) : stop_(std::move(stop)) {}
  std::size_t read(std::span<std::byte> into) override {
    if (stop_.stop_requested()) throw_error(errc::cancelled, "read", name());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    into[0] = std::byte{};
    return 1;
  }

 private:
  std::stop_token stop_;
};

/// An image of so many layers, each large enough that it lasts.
TestImage wide_image(unsigned layers) { return docker_image(50, layers); }

}  // namespace

TEST_CASE("each blob is read once, and not at all where the sink has it", "[copy_image]") {
  const ScratchDirectory scratch;
  Scripted script{.image = oci_index_image(), .give = {}};
  script.image.layers.push_back(script.image.layers.front());
  AnySource from{ScriptedSource(script)};
  AnySink first{OciLayoutSink(scratch.path() / "layout", "a")};
  CHECK(copy_image(from, first) == script.image.top);
  CHECK(script.opened.size() == script.image.blobs.size());
  OciLayoutSource written(scratch.path() / "layout", "a");
  check_same_image(written, script.image);

  script.opened.clear();
  std::set<LayerProgress::Phase> phases;
  AnySink second{OciLayoutSink(scratch.path() / "layout", "b")};
  copy_image(from, second, {.control = {.observer = [&](const ImageProgress& progress) {
                              for (const LayerProgress& layer : progress.layers) phases.insert(layer.phase);
                              CHECK(progress.bytes == 0);
                            }}});
  CHECK(script.opened.empty());
  CHECK(phases == std::set{LayerProgress::Phase::waiting, LayerProgress::Phase::existed});
}

TEST_CASE("an index isn't read where there is no room for one", "[copy_image]") {
  const ScratchDirectory scratch;
  Scripted script{.image = oci_index_image(), .give = {}};
  AnySource from{ScriptedSource(script)};
  AnySink to{DockerArchiveSink(scratch.path() / "archive.tar", "a")};
  CHECK(fails_with(errc::unsupported, [&] { copy_image(from, to); }));
  CHECK(script.opened.empty());
  copy_image(from, to, {.platform = Platform::parse("linux/arm64")});
}

TEST_CASE("of an index, the image of one platform can be copied alone", "[copy_image]") {
  const ScratchDirectory scratch;
  Scripted script{.image = oci_index_image(), .give = {}};
  AnySource from{ScriptedSource(script)};
  AnySink to{OciLayoutSink(scratch.path() / "layout", "a")};
  const Document top = copy_image(from, to, {.platform = Platform::parse("linux/arm64")});
  CHECK(top.digest == ImageIndex::parse(script.image.top).manifests[1].digest);
  CHECK(script.opened.size() == 2);
  CHECK(fails_with(errc::not_found, [&] { copy_image(from, to, {.platform = Platform::parse("linux/s390x")}); }));
}

TEST_CASE("progress is told by one thread at a time, and ends at all bytes", "[copy_image]") {
  const ScratchDirectory scratch;
  const TestImage image = wide_image(8);
  AnySource from{ImageInMemory(image)};
  AnySink to{OciLayoutSink(scratch.path() / "layout", "a")};
  std::atomic<int> inside = 0;
  std::uint64_t last = 0;
  ImageProgress now;
  copy_image(from, to, {.control = {.observer = [&](const ImageProgress& progress) {
                          CHECK(++inside == 1);
                          CHECK(progress.bytes >= last);
                          last = progress.bytes;
                          now = progress;
                          --inside;
                        }}});
  CHECK(now.bytes == now.total_bytes);
  REQUIRE(now.layers.size() == image.layers.size());
  for (std::size_t i = 0; i < now.layers.size(); ++i) {
    CHECK(now.layers[i].layer == image.layers[i]);
    CHECK(now.layers[i].phase == LayerProgress::Phase::done);
    CHECK(now.layers[i].bytes == image.layers[i].size);
  }
}

TEST_CASE("the first error stops all, and no image is there", "[copy_image]") {
  const ScratchDirectory scratch;
  Scripted script{.image = wide_image(6), .give = {}};
  const Digest bad = script.image.layers[2].digest;
  script.give = [&](const Descriptor& blob, const std::string& bytes, const std::stop_token& stop) {
    if (blob.digest == bad) throw_errno(ECONNRESET, "read", "the network");
    if (blob.digest == script.image.layers[0].digest) return std::unique_ptr<ByteSource>(new HeldSource(bytes, stop));
    return std::unique_ptr<ByteSource>(new Endless(stop));
  };
  AnySource from{ScriptedSource(script)};
  AnySink to{OciLayoutSink(scratch.path() / "layout", "a")};
  try {
    copy_image(from, to);
    FAIL("it was copied");
  } catch (const Error& error) {
    CHECK(error.code().value() == ECONNRESET);
  }
  CHECK(fails_with(errc::not_found, [&] { OciLayoutSource(scratch.path() / "layout", "a"); }));
}

TEST_CASE("a source that lies about a blob makes no image", "[copy_image]") {
  const ScratchDirectory scratch;
  Scripted script{.image = wide_image(3), .give = {}};
  script.give = [](const Descriptor&, const std::string& bytes, const std::stop_token& stop) {
    return std::make_unique<HeldSource>(std::string(bytes.size(), 'x'), stop);
  };
  AnySource from{ScriptedSource(script)};
  AnySink to{OciLayoutSink(scratch.path() / "layout", "a")};
  CHECK(fails_with(errc::digest_mismatch, [&] { copy_image(from, to); }));
  CHECK(fails_with(errc::not_found, [&] { OciLayoutSource(scratch.path() / "layout", "a"); }));
}

TEST_CASE("a copy is cancelled at once", "[copy_image]") {
  const ScratchDirectory scratch;
  Scripted script{.image = wide_image(6), .give = {}};
  script.give = [](const Descriptor&, const std::string&, const std::stop_token& stop) {
    return std::make_unique<Endless>(stop);
  };
  AnySource from{ScriptedSource(script)};
  AnySink to{OciLayoutSink(scratch.path() / "layout", "a")};
  std::stop_source stop;
  std::chrono::steady_clock::time_point stopped;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stopped = std::chrono::steady_clock::now();
    stop.request_stop();
  });
  CHECK(fails_with(errc::cancelled, [&] { copy_image(from, to, {.control = {.stop = stop.get_token()}}); }));
  const auto ended = std::chrono::steady_clock::now();
  canceller.join();
  // It takes some milliseconds; a loaded machine is given more.
  CHECK(ended - stopped < std::chrono::seconds(2));
  CHECK(fails_with(errc::cancelled, [&] { copy_image(from, to, {.control = {.stop = stop.get_token()}}); }));
}

TEST_CASE("a foreign layer that the source hasn't got stays where it is", "[copy_image]") {
  const ScratchDirectory scratch;
  TestImage image = docker_image();
  ImageManifest manifest = ImageManifest::parse(image.top);
  const Digest foreign = manifest.layers[0].digest;
  manifest.layers[0].media_type = media_type::docker_foreign_layer;
  manifest.layers[0].urls = {"https://layers.example/one"};
  image.top = manifest.document();
  image.blobs.erase(foreign);
  AnySource from{ImageInMemory(image)};
  AnySink to{OciLayoutSink(scratch.path() / "layout", "a")};
  CHECK(copy_image(from, to) == image.top);
  OciLayoutSource layout(scratch.path() / "layout", "a");
  CHECK(layout.top({}) == image.top);
  CHECK(fails_with(errc::not_found, [&] { layout.open(manifest.layers[0], 0, {}); }));
}

TEST_CASE("indexes in indexes end", "[copy_image]") {
  const ScratchDirectory scratch;
  TestImage image = oci_index_image();
  for (int level = 0; level < 12; ++level) {
    if (level == 4) {
      AnySource from{ImageInMemory(image)};
      AnySink to{OciLayoutSink(scratch.path() / "layout", "a")};
      CHECK(copy_image(from, to) == image.top);
    }
    ImageIndex outer;
    outer.manifests = {image.top.descriptor()};
    image.documents.push_back(image.top);
    image.top = outer.document();
  }
  AnySource from{ImageInMemory(image)};
  AnySink to{OciLayoutSink(scratch.path() / "layout", "b")};
  CHECK(fails_with(errc::limit_exceeded, [&] { copy_image(from, to); }));
}
