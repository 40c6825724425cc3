#include "conformance/hash_suite.hpp"

using namespace strata;
using test::hash_suite;

namespace {
const std::string two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";  // FIPS 180-4, examples
const std::string million(1'000'000, 'a');
}  // namespace

TEST_CASE("Sha256 is a hash", "[hash]") {
  hash_suite<Sha256>({
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {two_blocks, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {million, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  });
}

TEST_CASE("Sha512 is a hash", "[hash]") {
  hash_suite<Sha512>({
      {"",
       "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
       "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
      {"abc",
       "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
      {two_blocks,
       "204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c335"
       "96fd15c13b1b07f9aa1d3bea57789ca031ad85c7a71dd70354ec631238ca3445"},
      {million,
       "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
       "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b"},
  });
}

TEST_CASE("Xxh3 is a hash", "[hash]") {
  // As the 128-bit XXH3 of ClickHouse and StarRocks gives them.
  hash_suite<Xxh3>({
      {"", "99aa06d3014798d86001c324468d497f"},
      {"hello", "b5e9c1ad071b3e7fc779cfaa5e523818"},
      {"ClickHouse", "14c27b7bef95d36fecf5520ca2daf030"},
  });
}

namespace {

/// A host's own hash: FNV-1a, 64 bits. Fit for nothing but showing that any plain type with the right members serves.
class Fnv {
 public:
  static constexpr std::string_view name = "fnv1a64";
  static constexpr std::size_t digest_size = 8;
  static constexpr bool content_naming = false;
  void update(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) state_ = (state_ ^ std::to_integer<std::uint64_t>(byte)) * 0x100000001b3;
  }
  void finish(std::span<std::byte> out) const {
    for (std::size_t i = 0; i < digest_size; ++i) out[i] = static_cast<std::byte>(state_ >> (56 - 8 * i) & 0xff);
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325;
};
static_assert(HashAlgorithm<Fnv> && !ContentHash<Fnv>);

}  // namespace

TEST_CASE("a host's own hash is a hash", "[hash]") {
  hash_suite<Fnv>({{"", "cbf29ce484222325"}, {"a", "af63dc4c8601ec8c"}, {"foobar", "85944171f73967e8"}});
}
