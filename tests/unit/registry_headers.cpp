#include "registry/header_values.hpp"
#include "registry/url.hpp"

#include <strata/error.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"

#include <chrono>
#include <string>
#include <vector>

using namespace strata;
using namespace strata::detail;
using std::chrono::seconds;
using strata::test::fails_with;

TEST_CASE("challenges are read, several of them, quoted or not", "[registry]") {
  CHECK(parse_challenges("Basic realm=\"a b\"") == std::vector<Challenge>{{"basic", {{"realm", "a b"}}}});
  CHECK(parse_challenges("Bearer realm=\"https://x/token\",service=\"s\",scope=\"repository:a/b:pull,push\"") ==
        std::vector<Challenge>{
            {"bearer", {{"realm", "https://x/token"}, {"service", "s"}, {"scope", "repository:a/b:pull,push"}}}});
  CHECK(parse_challenges("Negotiate, BASIC Realm = x ,  Bearer realm=\"q\\\"\\\\\"") ==
        std::vector<Challenge>{{"negotiate", {}}, {"basic", {{"realm", "x"}}}, {"bearer", {{"realm", "q\"\\"}}}});
  CHECK(parse_challenges("Bearer realm=https://x/token,service=s") ==
        std::vector<Challenge>{{"bearer", {{"realm", "https://x/token"}, {"service", "s"}}}});
  // The first of two counts: who appends must not change what is there.
  CHECK(parse_challenges("Bearer realm=\"a\",realm=\"b\"").at(0).parameters.at("realm") == "a");
}

TEST_CASE("what breaks a challenge ends the list", "[registry]") {
  CHECK(parse_challenges("").empty());
  CHECK(parse_challenges(",, ,").empty());
  CHECK(parse_challenges("\"").empty());
  CHECK(parse_challenges("Basic realm=\"a\", Bearer realm=\"b").size() == 3);  // "realm" as a scheme, without a realm
  CHECK(parse_challenges("Bearer realm=\"b").at(0).parameters.empty());
}

TEST_CASE("content ranges", "[registry]") {
  CHECK(parse_content_range("bytes 5-9/10") == ContentRange{5, 9, 10});
  CHECK(parse_content_range(" Bytes 0-0/* ") == ContentRange{0, 0, {}});
  const std::string bad = GENERATE(as<std::string>(), "", "bytes", "bytes */10", "bytes 5-4/10", "bytes 5-10/10",
                                   "bytes -5/10", "bytes 5-/10", "5-9/10", "bytes 5-9", "bytes 5-9/x",
                                   "bytes 18446744073709551616-1/2", "bytes +5-9/10", "bytes 5 - 9/10");
  CAPTURE(bad);
  CHECK_FALSE(parse_content_range(bad));
}

TEST_CASE("how much of an upload there is", "[registry]") {
  CHECK(parse_upload_range("0-99") == 100);
  CHECK(parse_upload_range("bytes=0-99") == 100);
  CHECK(parse_upload_range("0-0") == 0);
  CHECK_FALSE(parse_upload_range("1-99"));
  CHECK_FALSE(parse_upload_range("0-"));
  CHECK_FALSE(parse_upload_range("0-18446744073709551615"));
}

TEST_CASE("the next page of a list", "[registry]") {
  CHECK(parse_next_link("</v2/a/tags/list?last=b&n=2>; rel=\"next\"") == "/v2/a/tags/list?last=b&n=2");
  CHECK(parse_next_link("</a>; rel=prev, </b>;title=\"x, y\"; REL=Next") == "/b");
  CHECK_FALSE(parse_next_link("</a>; rel=\"prev\""));
  CHECK_FALSE(parse_next_link("</a"));
  CHECK_FALSE(parse_next_link("/a; rel=next"));
  CHECK_FALSE(parse_next_link(""));
}

TEST_CASE("when to come back", "[registry]") {
  CHECK(parse_retry_after("120", 0) == seconds(120));
  CHECK(parse_retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 946684700) == seconds(99));
  CHECK(parse_retry_after("Fri, 31 Dec 1999 23:59:59 GMT", 946684900) == seconds(0));
  CHECK(parse_retry_after("18446744073709551615", 0) == seconds(1 << 30));
  CHECK_FALSE(parse_retry_after("soon", 0));
  CHECK_FALSE(parse_retry_after("-1", 0));
  CHECK_FALSE(parse_retry_after("", 0));
}

TEST_CASE("a URL loses its user, and shows nothing of its query", "[registry]") {
  const Url url = Url::parse("https://user:secret@Registry.Example/v2/a?signature=1#there");
  CHECK(url.to_string() == "https://registry.example:443/v2/a?signature=1");
  CHECK(url.shown() == "'https://registry.example'");
  CHECK(Url::parse("http://[::1]:5000").to_string() == "http://[::1]:5000/");
  CHECK(Url::parse("http://localhost:5000").shown() == "'http://localhost:5000'");
}

TEST_CASE("what a Location means", "[registry]") {
  const Url url = Url::parse("https://a.example/v2/x/blobs/uploads/?n=1");
  CHECK(url.resolve("/v2/y?state=z").to_string() == "https://a.example:443/v2/y?state=z");
  CHECK(url.resolve("1?state=z").to_string() == "https://a.example:443/v2/x/blobs/uploads/1?state=z");
  CHECK(url.resolve("//b.example/c").to_string() == "https://b.example:443/c");
  CHECK(url.resolve("http://u:p@b.example:81/c").to_string() == "http://b.example:81/c");
  CHECK(url.resolve("https://a.example:443/other").has_origin_of(url));
  CHECK_FALSE(url.resolve("http://a.example:443/other").has_origin_of(url));
  CHECK_FALSE(url.resolve("https://a.example:444/other").has_origin_of(url));
  CHECK(url.with("digest", "sha256:a b").to_string() ==
        "https://a.example:443/v2/x/blobs/uploads/?n=1&digest=sha256%3Aa%20b");
}

TEST_CASE("what is no URL of a registry is refused, and not shown", "[registry]") {
  const std::string bad =
      GENERATE(as<std::string>(), "", "x", "file:///etc/passwd", "ftp://secret.example/", "http://",
               "http://secret:99999/", "http://a b/secret", "http://a/\nsecret", "gopher://secret/");
  CAPTURE(bad);
  CHECK(fails_with(errc::bad_archive, [&] { Url::parse(bad); }));
  try {
    Url::parse(bad);
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("secret") == std::string::npos);
  }
}
