#include <strata/digest.hpp>
#include <strata/error.hpp>

#include "support/catch.hpp"

#include <string>
#include <unordered_set>
#include <vector>

using namespace strata;

namespace {
const std::string hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
}

TEST_CASE("a digest is read and written as the OCI spec spells it", "[digest]") {
  const Digest digest = Digest::parse("sha256:" + hex);
  CHECK(digest.algorithm() == "sha256");
  CHECK(digest.hex() == hex);
  CHECK(digest.to_string() == "sha256:" + hex);
  CHECK(digest.bytes().size() == 32);
  CHECK(digest.bytes()[0] == std::byte{0xe3});
  CHECK_FALSE(digest.empty());
  CHECK(Digest(digest.algorithm(), digest.bytes()) == digest);
  CHECK(Digest::try_parse("sha256:" + hex) == digest);
  CHECK(Digest::parse("sha512:" + hex + hex).bytes().size() == 64);
  CHECK(Digest::parse("xxh3:00112233445566778899aabbccddeeff").bytes().size() == 16);
}

TEST_CASE("what is no digest is refused, with the text and the reason", "[digest]") {
  std::string upper = hex;
  upper[0] = 'E';
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"", "no ':'"},
      {hex, "no ':'"},
      {":" + hex, "names no algorithm"},
      {"SHA256:" + hex, "a-z and 0-9"},
      {"sha-256:" + hex, "a-z and 0-9"},
      {"abcdefghijklmnop:" + hex, "longer than 15"},
      {"sha256:" + upper, "digits 0-9 and a-f"},
      {"sha256:" + hex.substr(0, 63) + "g", "digits 0-9 and a-f"},
      {"sha256:" + hex + "0", "odd number"},
      {"sha256:" + hex + "00", "64 hexadecimal digits"},
      {"sha256:" + hex.substr(2), "64 hexadecimal digits"},
      {"sha256:", "64 hexadecimal digits"},
      {"sha512:" + hex, "128 hexadecimal digits"},
      {"x:112233", "8 to 128"},
      {"x:" + hex + hex + "00", "8 to 128"},
      {"sha256:" + hex.substr(0, 62) + "/x", "digits 0-9 and a-f"},
      {"sha256:" + hex.substr(0, 62) + std::string("\0a", 2), "digits 0-9 and a-f"},
      {" sha256:" + hex, "a-z and 0-9"},
      {"sha256:" + hex + "\n", "odd number"},
  };
  for (const auto& [text, reason] : wrong) {
    INFO(text);
    CHECK_FALSE(Digest::try_parse(text));
    try {
      Digest::parse(text);
      FAIL("it was taken");
    } catch (const Error& e) {
      CHECK(e.code() == errc::bad_argument);
      CHECK(e.subject() == quoted(text));
      CHECK(std::string(e.what()).find(reason) != std::string::npos);
    }
  }
}

TEST_CASE("bytes that can be no digest are refused", "[digest]") {
  const std::vector<std::byte> bytes(100);
  const auto first = [&](std::size_t n) { return std::span(bytes).first(n); };
  CHECK_THROWS_AS(Digest("sha256", first(31)), Error);
  CHECK_THROWS_AS(Digest("x", first(3)), Error);
  CHECK_THROWS_AS(Digest("x", first(65)), Error);
  CHECK_THROWS_AS(Digest("", first(32)), Error);
  CHECK_THROWS_AS(Digest("a/b", first(32)), Error);
  CHECK(Digest("x", first(4)).hex() == "00000000");
}

TEST_CASE("digests are equal where algorithm and bytes are", "[digest]") {
  const Digest a = Digest::parse("sha256:" + hex), b = Digest::parse("blake3:" + hex);
  std::string other = hex;
  other.back() = '4';
  const Digest c = Digest::parse("sha256:" + other);
  CHECK(a == Digest::parse("sha256:" + hex));
  CHECK(a != b);
  CHECK(a != c);
  CHECK(c < a);
  CHECK(b < a);  // by the algorithm's name first
  CHECK(std::unordered_set<Digest>{a, b, c, a}.size() == 3);
}

TEST_CASE("a default digest is empty", "[digest]") {
  CHECK(Digest().empty());
  CHECK(Digest() == Digest());
  CHECK(Digest().to_string() == "");
  CHECK(Digest().hex() == "");
  CHECK(std::hash<Digest>()(Digest()) == 0);
}
