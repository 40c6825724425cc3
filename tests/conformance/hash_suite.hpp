// What every hash must do. A model's test includes this, and calls hash_suite in one test case with vectors that
// another implementation gave (see hash.cpp).
#pragma once

#include <strata/concepts.hpp>
#include <strata/digest.hpp>
#include <strata/error.hpp>
#include <strata/hash.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::test {

struct HashVector {
  std::string text;
  std::string_view hex;
};

template <HashAlgorithm Hash>
void hash_suite(const std::vector<HashVector>& vectors) {
  STATIC_REQUIRE(Hash::digest_size >= 4);
  STATIC_REQUIRE(Hash::digest_size <= Digest::max_size);
  const auto digest_of_pieces = [](std::string_view text, Pieces pieces) {
    AnyHash hash = AnyHash::of<Hash>();
    while (!text.empty()) {
      const std::size_t n = pieces.of(text.size());
      hash.update(bytes_of(text.substr(0, n)));
      text.remove_prefix(n);
    }
    return hash.finish();
  };

  SECTION("known inputs have the known digests") {
    REQUIRE(vectors.size() >= 3);
    for (const auto& vector : vectors) CHECK(digest_of<Hash>(vector.text).hex() == vector.hex);
  }
  SECTION("a digest names its algorithm, in a form that can be read back") {
    const Digest digest = digest_of<Hash>("strata");
    CHECK(digest.algorithm() == Hash::name);
    CHECK(digest.bytes().size() == Hash::digest_size);
    CHECK(Digest::parse(digest.to_string()) == digest);
  }
  SECTION("any division of the input gives the same digest") {
    for (const std::size_t size : {1u, 63u, 64u, 65u, 127u, 128u, 240u, 241u, 1024u, 4097u, 100'000u}) {
      const std::string text = noise(size);
      const Digest whole = digest_of<Hash>(text);
      CHECK(digest_of_pieces(text, Pieces(1, 1)) == whole);
      for (unsigned seed = 0; seed < 20; ++seed) CHECK(digest_of_pieces(text, Pieces(1 + size / 3, seed)) == whole);
    }
  }
  SECTION("an empty piece changes nothing, and nothing at all has the digest of the empty text") {
    Hash hash;
    hash.update({});
    hash.update(bytes_of("abc"));
    hash.update({});
    std::vector<std::byte> out(Hash::digest_size);
    hash.finish(out);
    CHECK(Digest(Hash::name, out) == digest_of<Hash>("abc"));
    CHECK(AnyHash::of<Hash>().finish() == digest_of<Hash>(""));
  }
  SECTION("one bit makes another digest") {
    std::string text = noise(1000);
    const Digest before = digest_of<Hash>(text);
    for (const std::size_t at : {0u, 500u, 999u}) {
      text[at] = static_cast<char>(text[at] ^ 1);
      CHECK(digest_of<Hash>(text) != before);
      text[at] = static_cast<char>(text[at] ^ 1);
    }
    CHECK(digest_of<Hash>(text) == before);
  }
  SECTION("a hash that is moved goes on, and the place that it left can be used again") {
    Hash first;
    first.update(bytes_of("ab"));
    Hash second(std::move(first));
    second.update(bytes_of("c"));
    first = Hash();
    first.update(bytes_of("other"));
    std::vector<std::byte> out(Hash::digest_size);
    second.finish(out);
    CHECK(Digest(Hash::name, out) == digest_of<Hash>("abc"));
    first.finish(out);
    CHECK(Digest(Hash::name, out) == digest_of<Hash>("other"));
  }
  SECTION("two that run at once don't meet") {
    AnyHash one = AnyHash::of<Hash>(), other = AnyHash::of<Hash>();
    for (const char* piece : {"a", "b", "c"}) {
      one.update(bytes_of(piece));
      other.update(bytes_of("x"));
    }
    CHECK(one.finish() == digest_of<Hash>("abc"));
    CHECK(other.finish() == digest_of<Hash>("xxx"));
  }
  SECTION("as a value, it is the same hash") {
    const HashPolicy policy = HashPolicy::of<Hash>();
    CHECK(policy.name == Hash::name);
    CHECK(policy.digest_size == Hash::digest_size);
    AnyHash hash = policy.start();
    hash.update(bytes_of("abc"));
    CHECK(hash.finish() == digest_of<Hash>("abc"));
  }
}

}  // namespace strata::test
