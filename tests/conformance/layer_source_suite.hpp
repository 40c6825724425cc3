// What every LayerSource must do. A model's test includes this, and calls layer_source_suite in one test case with
// something that opens a source of the image given.
#pragma once

#include <strata/layer_source.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/test_image.hpp"

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace strata::test {

inline std::string read_all(ByteSource& source) {
  MemorySink sink;
  copy(source, sink);
  return sink.take();
}

/// Whether it has that image, every document and byte of it.
template <LayerSource S>
void check_same_image(S& source, const TestImage& image) {
  const std::stop_token stop;
  CHECK(source.top(stop) == image.top);
  for (const Document& document : image.documents) CHECK(source.document(document.descriptor(), stop) == document);
  for (const Descriptor& layer : image.layers)
    CHECK((read_all(*source.open(layer, 0, stop)) == image.blobs.at(layer.digest)));
}

template <LayerSource S>
void layer_source_suite(const std::function<S()>& open_it, const TestImage& image) {
  S source = open_it();
  const std::stop_token stop;
  const Descriptor absent{
      .media_type = std::string(media_type::oci_layer), .digest = digest_of<Sha256>("that nobody has"), .size = 15};
  const Descriptor& large = image.layers.back();
  const std::string& bytes = image.blobs.at(large.digest);

  SECTION("it gives all documents and blobs, more than once and in any order") {
    CHECK((read_all(*source.open(large, 0, stop)) == bytes));
    check_same_image(source, image);
    check_same_image(source, image);
  }
  SECTION("a blob can be had from any offset on") {
    for (const std::uint64_t offset : {std::uint64_t{1}, large.size / 2, large.size - 1})
      CHECK((read_all(*source.open(large, offset, stop)) == bytes.substr(offset)));
    CHECK(read_all(*source.open(large, large.size, stop)).empty());
  }
  SECTION("the end is said again") {
    const auto blob = source.open(large, large.size - 1, stop);
    std::byte some[10];
    CHECK(blob->read(some) == 1);
    CHECK(blob->read(some) == 0);
    CHECK(blob->read(some) == 0);
  }
  SECTION("what it hasn't got is not found") {
    CHECK(fails_with(errc::not_found, [&] { read_all(*source.open(absent, 0, stop)); }));
    Descriptor document = absent;
    for (const auto type : {media_type::oci_manifest, media_type::oci_index, media_type::oci_config}) {
      document.media_type = type;
      CHECK(fails_with(errc::not_found, [&] { source.document(document, stop); }));
    }
  }
  SECTION("a document of another size than it is said to have is refused") {
    Descriptor wrong = image.documents.front().descriptor();
    ++wrong.size;
    CHECK(fails_with(errc::digest_mismatch, [&] { source.document(wrong, stop); }));
  }
  SECTION("several threads read at a time") {
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (const Descriptor& layer : image.layers)
          if (read_all(*source.open(layer, 0, {})) == image.blobs.at(layer.digest)) ++right;
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(right == 4 * static_cast<int>(image.layers.size()));
  }
  SECTION("reading is cancelled by the token that the blob was opened with") {
    std::stop_source stopper;
    const auto blob = source.open(large, 0, stopper.get_token());
    std::byte some[10];
    CHECK(blob->read(some) != 0);
    stopper.request_stop();
    CHECK(fails_with(errc::cancelled, [&] { read_all(*blob); }));
    CHECK((read_all(*source.open(large, 0, stop)) == bytes));
  }
  SECTION("one that is moved goes on") {
    S moved(std::move(source));
    CHECK_FALSE(moved.name().empty());
    check_same_image(moved, image);
  }
  SECTION("without its type it is the same") {
    AnySource any(std::move(source));
    if constexpr (!std::same_as<S, AnySource>) CHECK(any.is_local() == S::local);
    check_same_image(any, image);
  }
}

}  // namespace strata::test
