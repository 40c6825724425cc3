// What every compression format must do. A model's test includes this, and calls compression_suite, once in a
// test case (see compression.cpp).
#pragma once

#include <strata/compression.hpp>
#include <strata/concepts.hpp>
#include <strata/error.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/tar_builder.hpp"

#include <boost/iostreams/copy.hpp>
#include <boost/iostreams/device/array.hpp>
#include <boost/iostreams/device/back_inserter.hpp>
#include <boost/iostreams/filtering_stream.hpp>
#include <boost/iostreams/filtering_streambuf.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace strata::test {

/// What a format leaves open.
struct CompressionTraits {
  bool has_end = true;       ///< a truncated stream can be told from a whole one
  bool concatenates = true;  ///< two streams in a row are one of both contents
  bool reports_trailing_bytes = true;
};

/// Shapes that codecs have been wrong on: nothing, one byte, runs, noise, sizes around their blocks and windows.
inline std::vector<std::string> compression_samples() {
  std::vector<std::string> samples = {"", "x", std::string(3, '\0'), std::string(1'000'000, '\0')};
  for (const std::size_t size : {511u, 4096u, 32'768u, 65'535u, 65'536u, 65'537u, 131'072u, 131'073u, 300'000u}) {
    samples.push_back(noise(size));
    samples.push_back(prose(size));
  }
  // A copy of what is just inside and just outside the window of deflate.
  samples.push_back(noise(32'768) + noise(32'768) + noise(40'000, 2) + noise(40'000, 2));
  return samples;
}

/// What can be seen of a format through its policy; called by compression_suite.
inline void compression_policy_suite(const CompressionPolicy& policy, const CompressionTraits& traits) {
  const std::string tar = TarBuilder().add({.path = "usr/share/doc/notes", .content = prose(3000)}).end().bytes;

  SECTION("what goes in comes out, whatever its shape and size") {
    for (const std::string& sample : compression_samples()) {
      const Decoded decoded = decode(policy, encode(policy, sample));
      CHECK(decoded.error == "");
      CHECK((decoded.text == sample));  // in brackets: Catch would print megabytes
      CHECK(decoded.trailing_bytes == 0);
    }
  }
  SECTION("the same input gives the same bytes, however it is divided") {
    for (const std::string& sample : {std::string("x"), prose(200'000), noise(150'000), std::string(400'000, '\0')}) {
      const std::string once = encode(policy, sample);
      CHECK((encode(policy, sample) == once));
      for (unsigned seed = 0; seed < 4; ++seed) {
        CHECK((encode(policy, sample, Pieces(100, seed)) == once));
        CHECK((encode(policy, sample, Pieces(100'000, seed)) == once));
      }
    }
    const std::string small = prose(3000);
    CHECK((encode(policy, small, Pieces(1, 0)) == encode(policy, small)));
  }
  SECTION("any division of the compressed bytes, and of what is asked for, gives the same content") {
    for (const std::string& sample : {prose(150'000), noise(100'000), std::string(300'000, 'z')}) {
      const std::string encoded = encode(policy, sample);
      for (unsigned seed = 0; seed < 6; ++seed) {
        CHECK((decode(policy, encoded, Pieces(7, seed), Pieces(300'000, seed)).text == sample));
        CHECK((decode(policy, encoded, Pieces(50'000, seed), Pieces(100, seed)).text == sample));
        CHECK((decode(policy, encoded, Pieces(50'000, seed), Pieces(50'000, seed)).text == sample));
      }
      CHECK((decode(policy, encoded, Pieces(1, 0), Pieces(1, 0)).text == sample));
    }
  }
  SECTION("it recognises a layer in its own format, and no other does") {
    const std::string own = encode(policy, tar);
    CHECK(policy.recognises(head_of(own)));
    CHECK_FALSE(policy.recognises({}));
    for (const char* name : {"gzip", "zstd", "none"}) {
      if (name == policy.name) continue;
      const CompressionPolicy other = compression_by_name(name);
      CHECK_FALSE(other.recognises(head_of(own)));
      CHECK_FALSE(policy.recognises(head_of(encode(other, tar))));
    }
    for (unsigned seed = 0; seed < 200; ++seed) CHECK_FALSE(policy.recognises(bytes_of(noise(512, seed))));
  }
  SECTION("a stream that is cut off anywhere is malformed, and what came before is right") {
    if (traits.has_end) {
      const std::string sample = prose(600) + noise(50);
      const std::string encoded = encode(policy, sample);
      for (std::size_t size = 0; size < encoded.size(); ++size) {
        const Decoded decoded = decode(policy, encoded.substr(0, size), Pieces(64, 0), Pieces(16, 0));
        CHECK(decoded.is_malformed);
        CHECK(sample.starts_with(decoded.text));
      }
      const std::string large = encode(policy, noise(400'000));
      for (const std::size_t size : {1000u, 65'536u, 131'072u, 131'073u, 399'000u})
        CHECK(decode(policy, large.substr(0, size)).is_malformed);
    }
  }
  SECTION("streams in a row are read as one") {
    if (traits.concatenates) {
      const std::vector<std::string> parts = {prose(70'000), "", noise(1000), "", "", std::string(200'000, 'a'), "z"};
      std::string content, encoded;
      for (const std::string& part : parts) {
        content += part;
        encoded += encode(policy, part);
      }
      CHECK((decode(policy, encoded).text == content));
      CHECK((decode(policy, encoded, Pieces(1, 0), Pieces(50'000, 0)).text == content));
      for (unsigned seed = 0; seed < 10; ++seed) {
        const Decoded decoded = decode(policy, encoded, Pieces(40, seed), Pieces(5000, seed));
        CHECK((decoded.text == content));
        CHECK(decoded.error == "");
        CHECK(decoded.trailing_bytes == 0);
      }
    }
  }
  SECTION("bytes behind the end are counted, and change nothing") {
    if (traits.reports_trailing_bytes) {
      const std::string sample = prose(5000);
      const std::string encoded = encode(policy, sample);
      // Padding; a line of text; the beginning of another stream, too short to be one; what would fill any buffer.
      for (const std::string& rest : {std::string(1, '\0'), std::string(1000, '\0'), std::string("signature\n"),
                                      encoded.substr(0, 2), std::string(300'000, '\0'), noise(70'000, 3)}) {
        for (const std::size_t largest : {1u, 100u, 300'000u}) {
          const Decoded decoded = decode(policy, encoded + rest, Pieces(largest, 0), Pieces(3000, 0));
          CHECK(decoded.error == "");
          CHECK((decoded.text == sample));
          CHECK(decoded.trailing_bytes == rest.size());
        }
      }
    }
  }
  SECTION("an error of the source, or of the sink, comes through as it is") {
    FailingSource source(encode(policy, noise(200'000)), 100'000);
    const auto decoder = policy.decode(source);
    NullSink nowhere;
    CHECK_THROWS_AS(copy(*decoder, nowhere), FailingSource::Failure);
    FailingSink sink(50'000);
    const auto encoder = policy.encode(sink);
    const auto write_all = [&] {
      encoder->write(bytes_of(noise(200'000)));
      encoder->finish();
    };
    CHECK_THROWS_AS(write_all(), FailingSink::Failure);
  }
  SECTION("once at its end, it stays there") {
    const std::string encoded = encode(policy, "content");
    MemorySource source(encoded);
    const auto decoder = policy.decode(source);
    MemorySink sink;
    copy(*decoder, sink);
    CHECK(sink.text() == "content");
    std::byte more[10];
    CHECK(decoder->read(more) == 0);
    CHECK(decoder->read(more) == 0);
  }
}

template <Compression Codec>
void compression_suite(const Codec& codec, const CompressionTraits& traits = {}) {
  namespace io = boost::iostreams;
  const CompressionPolicy policy = CompressionPolicy::of<Codec>(codec);
  CHECK(policy.name == Codec::name);
  CHECK(policy.media_type == Codec::media_type);
  compression_policy_suite(policy, traits);
  SECTION("its filters work in chains of Boost.Iostreams, alone and with others") {
    const std::string sample = prose(100'000);
    std::string encoded, twice, back, back_twice;
    {
      io::filtering_ostream chain(codec.compressor());
      chain.push(io::back_inserter(encoded));
      chain << sample;
    }
    CHECK((encoded == encode(policy, sample)));
    {
      io::filtering_streambuf<io::output> chain;
      chain.push(codec.compressor());
      chain.push(Gzip().compressor());
      chain.push(io::back_inserter(twice));
      io::copy(io::array_source(sample.data(), sample.size()), chain);
    }
    {
      io::filtering_streambuf<io::input> chain;
      chain.push(codec.decompressor());
      chain.push(io::array_source(encoded.data(), encoded.size()));
      io::copy(chain, io::back_inserter(back));
    }
    CHECK((back == sample));
    {
      io::filtering_streambuf<io::input> chain;
      chain.push(codec.decompressor());
      chain.push(Gzip().decompressor());
      chain.push(io::array_source(twice.data(), twice.size()));
      io::copy(chain, io::back_inserter(back_twice));
    }
    CHECK((back_twice == sample));
  }
}

}  // namespace strata::test
