// What every LayerSink must do. A model's test includes this, and calls layer_sink_suite in one test case with a place
// that images are written to, under one name.
#pragma once

#include "conformance/layer_source_suite.hpp"

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace strata::test {

template <LayerSink K>
struct SinkPlace {
  std::function<K()> open;
  /// What is under the name; none where there is nothing.
  std::function<std::optional<AnySource>()> read_back;
  /// Whether anything is there that is neither an image nor part of one.
  std::function<bool()> has_scraps;
  /// Whether it refuses what names a blob that isn't there yet, as it may.
  bool in_order = false;
};

template <LayerSink K>
void put_layers(K& sink, const TestImage& image) {
  for (const Descriptor& layer : image.layers) {
    MemorySource source(image.blobs.at(layer.digest));
    sink.put(layer, source, Control{});
  }
}

template <LayerSink K>
void put_documents(K& sink, const TestImage& image) {
  for (const Document& document : image.documents) sink.put(document, std::stop_token{});
}

/// Gives the first half, and then fails.
class BreakingSource final : public ByteSource {
 public:
  explicit BreakingSource(std::string_view text) : half_(text.substr(0, text.size() / 2)) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t n = half_.read(into);
    if (n == 0) throw_errno(ECONNRESET, "read", name());
    return n;
  }

 private:
  MemorySource half_;
};

template <LayerSink K>
void layer_sink_suite(const SinkPlace<K>& place, const TestImage& image, const TestImage& other) {
  const std::stop_token stop;
  const Descriptor& large = image.layers.back();
  const std::string& bytes = image.blobs.at(large.digest);
  const auto holds = [&](const TestImage& expected) {
    auto source = place.read_back();
    REQUIRE(source);
    check_same_image(*source, expected);
    CHECK_FALSE(place.has_scraps());
  };

  SECTION("what was put is read again, byte for byte") {
    K sink = place.open();
    CHECK_FALSE(sink.has(large, stop));
    put_layers(sink, image);
    put_documents(sink, image);
    CHECK(sink.has(large, stop));
    CHECK(sink.has(image.documents.front().descriptor(), stop));
    sink.finish(image.top, stop);
    holds(image);
  }
  SECTION("documents may come before blobs, and all of it twice") {
    K sink = place.open();
    if (place.in_order) put_layers(sink, image);
    for (int i = 0; i < 2; ++i) {
      put_documents(sink, image);
      put_layers(sink, image);
    }
    sink.finish(image.top, stop);
    holds(image);
  }
  SECTION("without finish() there is nothing under the name") {
    {
      K sink = place.open();
      put_layers(sink, image);
      put_documents(sink, image);
    }
    CHECK_FALSE(place.read_back());
    CHECK_FALSE(place.has_scraps());
  }
  SECTION("a blob of another digest or size is refused, and nothing of it is left") {
    K sink = place.open();
    std::string changed = bytes;
    changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
    for (const std::string& wrong :
         {changed, bytes.substr(1), bytes.substr(0, bytes.size() - 1), bytes + "x", std::string("x"), std::string()}) {
      MemorySource source(wrong);
      CHECK(fails_with(errc::digest_mismatch, [&] { sink.put(large, source, Control{}); }));
      CHECK_FALSE(sink.has(large, stop));
    }
    put_layers(sink, image);
    put_documents(sink, image);
    sink.finish(image.top, stop);
    holds(image);
  }
  SECTION("the error of a source that breaks comes out, and the blob can be put again") {
    K sink = place.open();
    BreakingSource breaking(bytes);
    try {
      sink.put(large, breaking, Control{});
      FAIL("it was taken");
    } catch (const Error& error) {
      CHECK(error.code().value() == ECONNRESET);
    }
    CHECK_FALSE(sink.has(large, stop));
    put_layers(sink, image);
    put_documents(sink, image);
    sink.finish(image.top, stop);
    holds(image);
  }
  SECTION("a put that is cancelled leaves nothing") {
    {
      K sink = place.open();
      std::stop_source stopper;
      const Control control{.observer = [&](const Progress&) { stopper.request_stop(); }, .stop = stopper.get_token()};
      MemorySource source(bytes);
      CHECK(fails_with(errc::cancelled, [&] { sink.put(large, source, control); }));
      CHECK_FALSE(sink.has(large, stop));
    }
    CHECK_FALSE(place.read_back());
    CHECK_FALSE(place.has_scraps());
  }
  SECTION("progress reaches the size of the blob") {
    K sink = place.open();
    std::uint64_t told = 0;
    const Control control{.observer = [&](const Progress& progress) {
      CHECK(progress.bytes >= told);
      told = progress.bytes;
      CHECK(progress.total_bytes == large.size);
    }};
    MemorySource source(bytes);
    sink.put(large, source, control);
    CHECK(told == large.size);
  }
  SECTION("another image takes the name") {
    for (const TestImage* one : {&image, &other, &image}) {
      K sink = place.open();
      put_layers(sink, *one);
      put_documents(sink, *one);
      sink.finish(one->top, stop);
      holds(*one);
    }
  }
  if constexpr (K::parallel) {
    SECTION("several threads put blobs at a time, the same ones too") {
      K sink = place.open();
      std::vector<std::thread> threads;
      for (int i = 0; i < 4; ++i) threads.emplace_back([&] { put_layers(sink, image); });
      for (std::thread& thread : threads) thread.join();
      put_documents(sink, image);
      sink.finish(image.top, stop);
      holds(image);
    }
  }
  SECTION("one that is moved goes on, and without its type it is the same") {
    K sink = place.open();
    put_layers(sink, image);
    AnySink any(std::move(sink));
    CHECK(any.is_parallel() == K::parallel);
    CHECK_FALSE(any.name().empty());
    put_documents(any, image);
    any.finish(image.top);
    holds(image);
  }
}

}  // namespace strata::test
