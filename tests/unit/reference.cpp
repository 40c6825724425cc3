#include <strata/error.hpp>
#include <strata/reference.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"

#include <string>

using namespace strata;
using strata::test::fails_with;

namespace {

const std::string digest = "sha256:" + std::string(64, 'a');

std::string full(std::string_view text) { return ImageReference::parse(text).to_string(); }

}  // namespace

TEST_CASE("a reference is completed as docker does it", "[reference]") {
  CHECK(full("debian") == "docker.io/library/debian:latest");
  CHECK(full("debian:12") == "docker.io/library/debian:12");
  CHECK(full("index.docker.io/debian") == "docker.io/library/debian:latest");
  CHECK(full("someone/app") == "docker.io/someone/app:latest");
  CHECK(full("localhost/app") == "localhost/app:latest");
  CHECK(full("localhost:5000/app:1") == "localhost:5000/app:1");
  CHECK(full("registry.example/a/b/c:v1.2-rc_3") == "registry.example/a/b/c:v1.2-rc_3");
  CHECK(full("[::1]:5000/app") == "[::1]:5000/app:latest");
  CHECK(full("UPPER/app") == "UPPER/app:latest");  // upper case makes it a host
  CHECK(full("app@" + digest) == "docker.io/library/app@" + digest);
  CHECK(full("app:1@" + digest) == "docker.io/library/app:1@" + digest);
  CHECK(full("a__b/c---d/e.f_g") == "docker.io/a__b/c---d/e.f_g:latest");
}

TEST_CASE("the parts of a reference", "[reference]") {
  const auto reference = ImageReference::parse("registry.example:5000/app/web:1@" + digest);
  CHECK(reference.domain == "registry.example:5000");
  CHECK(reference.repository == "app/web");
  CHECK(reference.tag == "1");
  CHECK(reference.digest == Digest::parse(digest));
  CHECK(reference.wanted() == digest);
  CHECK(ImageReference::parse("app:1").wanted() == "1");
  CHECK(ImageReference::parse(reference.to_string()) == reference);
}

TEST_CASE("what is no reference is refused, with what is wrong", "[reference]") {
  const std::string text = GENERATE(
      as<std::string>(), "", ":1", "@" + digest, "Debian", "a//b", "/a", "a/", "-a", "a-", "a..b", "a___b",
      "a:", "a:.x", "a:" + std::string(129, 'x'), "a@sha256:12", "a@md5:" + std::string(32, 'a'), "a@" + digest + "x",
      "host:port/a", "host..name.example/a", "registry.example/A", "a b", "a\n", "docker://debian",
      std::string(64, 'a'), "registry.example/" + std::string(250, 'a'), "-host.example/a", "a:1:2");
  CAPTURE(text);
  CHECK(fails_with(errc::bad_argument, [&] { ImageReference::parse(text); }));
}
