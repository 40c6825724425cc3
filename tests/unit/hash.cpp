#include <strata/error.hpp>
#include <strata/hash.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"

#include <thread>
#include <vector>

using namespace strata;
using test::bytes_of, test::noise;

TEST_CASE("only collision resistant hashes name content", "[hash]") {
  STATIC_REQUIRE(ContentHash<Sha256>);
  STATIC_REQUIRE(ContentHash<Sha512>);
  STATIC_REQUIRE(HashAlgorithm<Xxh3>);
  STATIC_REQUIRE_FALSE(ContentHash<Xxh3>);
  STATIC_REQUIRE_FALSE(HashAlgorithm<int>);
}

TEST_CASE("a digest that doesn't fit where it should go is refused, not cut", "[hash]") {
  std::vector<std::byte> out(64);
  const auto finish = [&](auto hash, std::size_t size) { hash.finish(std::span(out).first(size)); };
  CHECK_THROWS_AS(finish(Sha256(), 31), Error);
  CHECK_THROWS_AS(finish(Sha256(), 33), Error);
  CHECK_THROWS_AS(finish(Sha512(), 32), Error);
  CHECK_THROWS_AS(finish(Xxh3(), 8), Error);
  CHECK_NOTHROW(finish(Sha256(), 32));
}

TEST_CASE("hashes run in many threads at once", "[hash]") {
  const std::string text = noise(100'000);
  const Digest sha = digest_of<Sha256>(text), xxh = digest_of<Xxh3>(text);
  std::vector<std::jthread> threads;
  std::vector<int> wrong(4);
  for (std::size_t i = 0; i < wrong.size(); ++i)
    threads.emplace_back([&, i] {
      for (int n = 0; n < 50; ++n) wrong[i] += digest_of<Sha256>(text) != sha || digest_of<Xxh3>(text) != xxh;
    });
  threads.clear();
  CHECK(wrong == std::vector<int>(4));
}
