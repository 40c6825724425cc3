#include <strata/budget.hpp>

#include <strata/apply.hpp>
#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/layer_entries.hpp"
#include "support/scratch.hpp"

#include <functional>
#include <optional>
#include <regex>

using namespace strata;
using namespace strata::test;
using Catch::Contains;

namespace {

struct Case {
  std::string_view limit;
  std::string layer;
  std::uint64_t used;  ///< what it needs of the limit
  std::string entry;   ///< that exceeds one less; empty: the stream as a whole does
  std::string base = {};
  std::uint64_t Budget::*value() const {
    for (const BudgetLimit& known : budget_limits())
      if (known.name == limit) return known.value;
    throw std::runtime_error("no such limit");
  }
};

RawHeader sized(RawHeader header, std::size_t size) {
  header.content = noise(size);
  return header;
}

std::string sparse(const std::string& path) {
  return TarBuilder()
      .pax({{"GNU.sparse.map", "1000,4"}, {"GNU.sparse.size", "5000"}})
      .add(file(path, "text"))
      .end()
      .bytes;
}

std::string with_xattrs(int files) {
  TarBuilder tar;
  for (int i = 0; i < files; ++i) tar.pax({{"SCHILY.xattr.user.a", "12345"}}).add(file("f" + std::to_string(i)));
  return tar.end().bytes;
}

const std::string two_files = layer({sized(file("d/one"), 700), sized(file("d/two"), 300)});
const std::string base = layer({dir("d"), sized(file("d/low"), 1000)});
const std::string squeezed = encode(CompressionPolicy::of<Gzip>(), layer({file("f", std::string(100'000, 'x'))}));
constexpr std::uint64_t squeezed_tar = 512 + 100'352 + 1024;

std::vector<Case> cases() {
  return {
      {"tar_bytes", two_files, two_files.size(), ""},
      {"tar_bytes", squeezed, squeezed_tar, ""},
      {"file_bytes", two_files, 1000, "d/two"},
      {"file_bytes", layer({sized(file("f"), 700), sized(file("f"), 300)}), 1000, "f"},
      {"file_bytes", sparse("holes"), 4, "holes"},
      {"file_bytes", layer({hard_link("mine", "d/low")}), 1000, "d/low", base},
      {"apparent_bytes", sparse("holes"), 5000, "holes"},
      {"apparent_bytes", two_files, 1000, "d/two"},
      {"entries", layer({dir("a"), file("a/f"), file("b")}), 3, "b"},
      {"entries", layer({file("a/b/c")}), 3, "a/b/c"},
      {"entries", layer({whiteout("a/.wh.b")}), 2, "a/b"},
      {"depth", layer({file("top"), dir("a/b/c")}), 3, "a/b/c"},
      {"depth", layer({dir("a"), dir("a/b"), soft_link("s", "a/b"), file("s/c/f")}), 4, "a/b/c"},
      {"name_bytes", layer({file("abc"), file("d/abcd")}), 4, "d/abcd"},
      {"path_bytes", layer({file("abc"), file("./d/abcd/")}), 6, "./d/abcd/"},
      {"path_bytes", layer({soft_link("l", "12345")}), 5, "l"},
      {"path_bytes", layer({file("1"), hard_link("h", ".///1")}), 5, "h"},
      {"entry_xattr_bytes", with_xattrs(2), 11, "f0"},
      {"xattr_bytes", with_xattrs(3), 33, "f2"},
      {"ratio", squeezed, (squeezed_tar + squeezed.size() - 1) / squeezed.size(), ""},
  };
}

std::string without_times(const boost::filesystem::path& path) {
  return std::regex_replace(short_tree(path.native()), std::regex(" @[0-9]+"), "");
}

/// How the layers of a case are met: what `meet` throws, and whether it left something.
struct Met {
  std::optional<Error> error;
  std::string before, after;
};

Met met(const boost::filesystem::path& place, const std::function<void()>& meet) {
  Met result;
  result.before = without_times(place);
  try {
    meet();
  } catch (const Error& error) {
    result.error = error;
  }
  result.after = without_times(place);
  return result;
}

Met imported(const Case& c, const Budget& budget) {
  const ScratchDirectory scratch;
  LayerStore<> store(scratch.path() / "store", {.durability = Durability::none});
  ImportOptions options{.budget = budget};
  if (!c.base.empty()) options.parent = store.import(MemorySource(c.base)).id;
  return met(scratch.path(), [&] { store.import(MemorySource(c.layer), options); });
}

Met flat(const Case& c, const Budget& budget) {
  const ScratchDirectory scratch;
  const auto root = scratch.directory("root");
  MemorySource below(c.base), source(c.layer);
  if (!c.base.empty()) apply_flat(below, root);
  return met(scratch.path(), [&] { apply_flat(source, root, {.budget = budget}); });
}

Met overlay(const Case& c, const Budget& budget) {
  const ScratchDirectory scratch;
  const auto lower = scratch.directory("lower"), upper = scratch.directory("upper");
  MemorySource below(c.base), source(c.layer);
  if (!c.base.empty()) apply_flat(below, lower);
  return met(scratch.path(), [&] { apply_overlay(source, upper, {lower}, {}, {.budget = budget}); });
}

void check_case(const Case& c, Met (*meet)(const Case&, const Budget&)) {
  INFO(c.limit << " of " << c.entry << ", " << c.used);
  Budget budget = Budget::none();
  budget.ratio_from = 0;
  budget.*c.value() = c.used;
  const Met passes = meet(c, budget);
  CHECK((passes.error ? passes.error->what() : "") == std::string());
  budget.*c.value() = c.used - 1;
  const Met refused = meet(c, budget);
  REQUIRE(refused.error);
  CHECK(refused.error->code() == errc::limit_exceeded);
  const std::string limit(c.limit);
  CHECK_THAT(refused.error->what(), Contains(limit + "=" + std::to_string(c.used - 1)));
  CHECK_THAT(refused.error->remedy(), Contains("raise " + limit + " "));
  CHECK(refused.error->subject() == (c.entry.empty() ? "the input" : quoted(c.entry)));
  CHECK(refused.after == refused.before);
}

}  // namespace

TEST_CASE("A layer may use as much as its budget has, and no more: import") {
  for (const Case& c : cases()) check_case(c, imported);
}

TEST_CASE("A layer may use as much as its budget has, and no more: a plain directory") {
  for (const Case& c : cases())
    if (c.base.empty()) check_case(c, flat);  // there, a link to a lower file is a link, and costs nothing
}

TEST_CASE("A layer may use as much as its budget has, and no more: an upper directory") {
  for (const Case& c : cases()) check_case(c, overlay);
}

TEST_CASE("A budget has a limit for each name, none of them met by what is small") {
  Budget budget;
  for (const BudgetLimit& limit : budget_limits()) {
    INFO(limit.name);
    CHECK(budget.*limit.value > 100);
    budget.*limit.value = 0;
  }
  CHECK(Budget::none().ratio == Budget::unlimited);
  const Case c{"", two_files, 0, ""};
  CHECK_FALSE(imported(c, Budget()).error);
  CHECK_FALSE(imported(c, Budget::none()).error);
  CHECK(imported(c, budget).error);
}

TEST_CASE("The ratio is looked at only behind some bytes, and before they are written") {
  const Case c{"ratio", squeezed, 0, ""};
  Budget budget{.ratio = 2, .ratio_from = squeezed_tar};
  CHECK_FALSE(imported(c, budget).error);
  budget.ratio_from = squeezed_tar - 1;
  CHECK(imported(c, budget).error);
  // Through the threads of a large layer too: 64 MiB of zeros behind the end of the tar, in members of their own.
  std::string bomb = encode(CompressionPolicy::of<Gzip>(), layer({sized(file("f"), 700'000)}));
  const std::string zeros = encode(CompressionPolicy::of<Gzip>(), std::string(1 << 20, '\0'));
  for (int i = 0; i < 64; ++i) bomb += zeros;
  CHECK_FALSE(imported({"", bomb, 0, ""}, Budget()).error);
  const Met refused = imported({"", bomb, 0, ""}, {.ratio = 50, .ratio_from = 1 << 20});
  REQUIRE(refused.error);
  CHECK_THAT(refused.error->what(), Contains("ratio=50"));
  CHECK(refused.after == refused.before);
}

TEST_CASE("A file that is larger than what is left of the tar is refused before it is written") {
  const Case c{"tar_bytes", layer({file("a"), sized(file("b"), 300'000)}), 0, ""};
  const Met refused = imported(c, {.tar_bytes = 301'000});
  REQUIRE(refused.error);
  CHECK(refused.error->subject() == "'b'");
  CHECK_THAT(refused.error->what(), Contains("tar_bytes=301000"));
  CHECK(refused.after == refused.before);
}

TEST_CASE("What names take of memory is counted, link targets and attributes of directories included") {
  TarBuilder tar;
  for (int i = 0; i < 500; ++i) tar.add(file("some-name-" + std::to_string(i)));
  tar.add(soft_link("link", std::string(99, 't')));
  tar.pax({{"SCHILY.xattr.user.a", std::string(3000, 'a')}}).add(dir("d"));
  const Case c{"memory", tar.end().bytes, 0, ""};
  Budget budget{.memory = 0};
  std::vector<std::uint64_t> steps;
  for (;;) {
    const Met refused = imported(c, budget);
    if (!refused.error) break;
    REQUIRE(refused.error->code() == errc::limit_exceeded);
    CHECK(refused.after == refused.before);
    std::smatch found;
    const std::string what = refused.error->what();
    REQUIRE(std::regex_search(what, found, std::regex("names take ([0-9]+) bytes.*memory=")));
    steps.push_back(std::stoull(found[1]));
    budget.memory = steps.back();
    REQUIRE(steps.size() < 100);
  }
  // 500 names of 12 bytes and a node of 32; then the target, then the attributes.
  CHECK(steps.back() > 500 * (12 + 32) + 99 + 3000);
  CHECK(steps.back() < 500 * (12 + 32) * 4);
  CHECK(steps.back() - steps.at(steps.size() - 2) > 3000);
  CHECK(steps.at(steps.size() - 2) - steps.at(steps.size() - 3) >= 99);
}

TEST_CASE("A layer that the store has already is held to its budget too") {
  const ScratchDirectory scratch;
  LayerStore<> store(scratch.path() / "store", {.durability = Durability::none});
  const Digest id = store.import(MemorySource(two_files)).id;
  ImportOptions options{.expected_diff_id = id, .budget = {.tar_bytes = two_files.size()}};
  CHECK(store.import(MemorySource(two_files), options).existed);
  --options.budget.tar_bytes;
  CHECK_THROWS_AS(store.import(MemorySource(two_files), options), Error);
}
