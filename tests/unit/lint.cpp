#include <strata/lint.hpp>

#include <strata/apply.hpp>
#include <strata/error.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/layer_entries.hpp"
#include "support/scratch.hpp"

using namespace strata;
using namespace strata::test;
using Catch::Contains;

namespace {

LintResult linted(const std::string& bytes, const LintOptions& options = {}) {
  MemorySource source(bytes);
  return lint(source, options);
}

/// "RULE PATH", a line each.
std::string events(const Report& report) {
  std::string text;
  for (const Event& event : report.events()) text += event.rule + " " + event.path + "\n";
  return text;
}

RawHeader device(std::string path, unsigned minor) {
  RawHeader header = entry('3', std::move(path), "0000644");
  header.device_major = octal(0, 7);
  header.device_minor = octal(minor, 7);
  return header;
}

const std::vector<std::string> odd_layers = {
    layer({file("/absolute")}),
    layer({dir("a"), file("a/../b")}),
    layer({whiteout(".wh..wh.plnk"), file(".wh..wh.d/f")}),
    layer({file("f"), file("f"), dir("f"), dir("f")}),
    layer({file("f"), file("f/g")}),
    layer({device("null", 0)}),
    TarBuilder().pax({{"SCHILY.xattr.trusted.overlay.opaque", "y"}}).add(dir("d")).end().bytes,
    layer({entry('Z', "unknown", "0000644", "x")}),
    layer({file("f")}) + std::string(512, 'x'),
    encode(CompressionPolicy::of<Gzip>(), layer({file("f")})) + "behind",
    encode(CompressionPolicy::of<Zstd>(), layer({file("f")}).substr(0, 1024)),
};

}  // namespace

TEST_CASE("A layer with nothing odd is clean, however it is compressed") {
  const std::string tar = layer({dir("."), dir("d"), file("d/f", noise(1'000'000)), hard_link("d/g", "d/f"),
                                 soft_link("l", "d"), file("l/through"), pipe_file("p"), whiteout("d/.wh.old"),
                                 whiteout(".wh.gone"), dir("o"), whiteout("o/.wh..wh..opq"), device("dev", 7)});
  for (const CompressionPolicy& policy :
       {CompressionPolicy::of<Gzip>(), CompressionPolicy::of<Zstd>(), CompressionPolicy::of<Uncompressed>()}) {
    const LintResult result = linted(encode(policy, tar));
    CHECK(result.clean());
    CHECK(events(result.needs).empty());
    CHECK(result.diff_id == digest_of<Sha256>(tar));
    CHECK(result.entries == 12);
    CHECK(result.tar_size == tar.size());
  }
}

TEST_CASE("Lint finds what apply reports, word for word, and calls odd what strict refuses") {
  for (const std::string& tar : odd_layers) {
    const LintResult result = linted(tar);
    INFO(events(result.odd));
    CHECK_FALSE(result.clean());
    CHECK_FALSE(result.error);
    const ScratchDirectory scratch;
    const auto root = scratch.directory("root");
    MemorySource source(tar), again(tar);
    const Report applied = apply_flat(source, root).report;
    CHECK(result.odd.total() == applied.total());
    CHECK(events(result.odd) == events(applied));
    for (std::size_t i = 0; i < applied.events().size(); ++i)
      CHECK(result.odd.events().at(i).action == applied.events().at(i).action);
    CHECK_THROWS_AS(apply_flat(again, root, {.conformance = Conformance::strict}), Error);
  }
}

TEST_CASE("What a layer takes from below is named, and is no fault") {
  const LintResult result = linted(
      layer({file("implied/f"), whiteout("marked/.wh.x"), whiteout("opaque/.wh..wh..opq"), hard_link("mine", "theirs"),
             hard_link("later", "f"), file("f"), dir("new"), whiteout("new/.wh..wh..opq"), file("new/sub/f"),
             whiteout(".wh.over"), file("over/f"), soft_link("s", "far/away"), file("s/f")}));
  CHECK(result.clean());
  CHECK(events(result.needs) == "A11 implied\nA11 marked\nA11 opaque\nA12 far\nA12 far/away\nA14 mine\n");
  CHECK_THAT(result.needs.events().back().action, Contains("'theirs'"));
}

TEST_CASE("What import refuses, lint calls broken, with the same words") {
  const std::vector<std::string> broken = {
      layer({file("../x")}),
      layer({whiteout(".wh.")}),
      layer({file("f"), hard_link("d", ".")}),
      layer({soft_link("a", "b"), soft_link("b", "a"), file("a/f")}),
      layer({file("f", noise(3000))}).substr(0, 2000),
      encode(CompressionPolicy::of<Gzip>(), layer({file("f", noise(3000))})).substr(0, 2000),
      noise(5000),
      "",
  };
  for (const std::string& tar : broken) {
    const LintResult result = linted(tar);
    REQUIRE(result.error);
    CHECK_FALSE(result.clean());
    const ScratchDirectory scratch;
    MemorySource source(tar);
    try {
      apply_flat(source, scratch.directory("root"), {.end = EndOfLayer::proven});
      FAIL("applied");
    } catch (const Error& error) {
      CHECK(std::string(result.error->what()) == error.what());
    }
  }
  CHECK(linted(layer({file("/a"), file("../x")})).odd.total() == 1);
}

TEST_CASE("Lint keeps to a budget, and to what is known of the end") {
  const LintResult over = linted(layer({file("a"), file("b")}), {.budget = {.entries = 1}});
  REQUIRE(over.error);
  CHECK(over.error->code() == errc::limit_exceeded);
  const std::string unmarked = layer({file("a")}).substr(0, 1024);
  CHECK(linted(unmarked).error);
  const LintResult allowed = linted(unmarked, {.end = EndOfLayer::any});
  CHECK_FALSE(allowed.error);
  CHECK(events(allowed.odd) == "tar \n");
}

TEST_CASE("A lint that is cancelled, or can't read, throws") {
  std::stop_source stop;
  stop.request_stop();
  CHECK_THROWS_AS(linted(layer({file("a")}), {.control = {.stop = stop.get_token()}}), Error);
}
