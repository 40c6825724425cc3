#include <strata/container.hpp>
#include <strata/error.hpp>

#include "support/catch.hpp"

using namespace strata;

namespace {

Container sample() {
  Container container;
  container.name = "web-1";
  container.layer = Digest::parse("sha256:" + std::string(64, 'a'));
  container.read_only = true;
  container.created = "2024-05-06T07:08:09Z";
  container.backend = "overlay";
  container.options.set("redirect_dir", "nofollow");
  container.options.set("volatile", "");
  container.target = "/mnt/a b";
  return container;
}

bool is_damaged(const std::string& text) {
  try {
    container_from_json(text, "/store/containers/web-1");
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::Contains("/store/containers/web-1/container.json"));
    return error.code() == errc::damaged;
  }
  return false;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a container's record gives the container back") {
  const Container container = sample();
  const Container read = container_from_json(to_json(container), "/store/containers/web-1");
  CHECK(read.name == container.name);
  CHECK(read.layer == container.layer);
  CHECK(read.read_only);
  CHECK(read.created == container.created);
  CHECK(read.backend == container.backend);
  CHECK(read.options.spelled() == container.options.spelled());
  CHECK(read.target == container.target);
  CHECK(read.upper() == "/store/containers/web-1/upper");
  CHECK(read.work() == "/store/containers/web-1/work");
}

TEST_CASE("any byte of a target survives its record") {
  Container container = sample();
  std::string bytes = "/";
  for (int c = 1; c < 256; ++c) bytes += static_cast<char>(c);
  container.target = bytes;
  const std::string text = to_json(container);
  for (const char c : text) CHECK((c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f)));
  CHECK(container_from_json(text, "/d").target == container.target);
}

TEST_CASE("a record that can't be meant is damage, and says which file") {
  const std::string good = to_json(sample());
  CHECK_FALSE(is_damaged(good));
  CHECK(is_damaged(""));
  CHECK(is_damaged("[]"));
  CHECK(is_damaged(good.substr(0, good.size() / 2)));
  CHECK(is_damaged(replaced(good, "web-1", "../web")));
  CHECK(is_damaged(replaced(good, "sha256:a", "sha256:x")));
  CHECK(is_damaged(replaced(good, "\"read_only\": true", "\"read_only\": 1")));
  CHECK(is_damaged(replaced(good, "nofollow", "sideways")));
  CHECK(is_damaged(replaced(good, "a%20b", "a%2")));
  CHECK(is_damaged(replaced(good, "a%20b", "a%00b")));
  CHECK(is_damaged(replaced(good, "a%20b", "a\\u0000b")));
  CHECK(is_damaged(replaced(good, "\"nofollow\"", "1")));
}

TEST_CASE("a container's name is a plain file name that no option or path can be mistaken for") {
  for (const char* name : {"a", "0", "Web_1.x-y", "a..b"}) CHECK_NOTHROW(check_container_name(name));
  CHECK_NOTHROW(check_container_name(std::string(200, 'a')));
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".a"), std::string("-a"), std::string("_a"),
        std::string("a/b"), std::string("a b"), std::string("a\nb"), std::string("a@b"), std::string("\xc3\xa4"),
        std::string("a\0b", 3), std::string(201, 'a')}) {
    CAPTURE(name);
    CHECK_THROWS_AS(check_container_name(name), Error);
  }
}
