#include <strata/error.hpp>
#include <strata/id_map.hpp>

#include "support/catch.hpp"

#include <random>
#include <set>

using namespace strata;
using Catch::Contains;

namespace {

constexpr std::uint32_t highest = 4294967294;

std::string refusal(std::string_view text) {
  try {
    (void)IdRanges::parse(text);
  } catch (const Error& error) {
    CHECK(error.code() == errc::bad_argument);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("Without ranges every id is itself") {
  const IdRanges none;
  CHECK(none.empty());
  CHECK(IdMap{}.empty());
  CHECK(none.to_host(0) == 0);
  CHECK(none.to_container(highest) == highest);
  CHECK(none.to_host(highest + 1) == std::nullopt);
  CHECK(none.to_host(std::uint64_t{1} << 32) == std::nullopt);
}

TEST_CASE("A range maps its ids, and no other") {
  const IdRanges ranges = IdRanges::parse("0:100000:65536");
  CHECK(ranges.ranges() == std::vector<IdRange>{{0, 100000, 65536}});
  CHECK(ranges.to_host(0) == 100000);
  CHECK(ranges.to_host(65535) == 165535);
  CHECK(ranges.to_host(65536) == std::nullopt);
  CHECK(ranges.to_host((std::uint64_t{1} << 32) + 5) == std::nullopt);
  CHECK(ranges.to_container(100000) == 0);
  CHECK(ranges.to_container(165535) == 65535);
  CHECK(ranges.to_container(99999) == std::nullopt);
  CHECK(ranges.to_container(165536) == std::nullopt);
}

TEST_CASE("Several ranges, in any order, and up to the highest id") {
  const IdRanges ranges = IdRanges::parse("1:100000:65535,0:1000:1,70000:0:1000");
  CHECK(ranges.to_host(0) == 1000);
  CHECK(ranges.to_host(1) == 100000);
  CHECK(ranges.to_host(70999) == 999);
  CHECK(ranges.to_container(1000) == 0);
  CHECK(ranges.to_container(0) == 70000);
  CHECK(IdRanges::parse("0:0:4294967295").to_host(highest) == highest);
  CHECK(IdRanges::parse("0:4294967294:1").to_host(0) == highest);
}

TEST_CASE("Ranges that can't be meant are refused by name") {
  CHECK_THAT(refusal("0:5:0"), Contains("'0:5:0'") && Contains("empty"));
  CHECK_THAT(refusal("0:4294967294:2"), Contains("'0:4294967294:2'") && Contains("beyond 4294967294"));
  CHECK_THAT(refusal("1:0:4294967295"), Contains("beyond"));
  CHECK_THAT(refusal("0:10:10,20:10:1"), Contains("on the host") && Contains("0:10:10") && Contains("20:10:1"));
  CHECK_THAT(refusal("5:200:10,0:100:6"), Contains("in the container") && Contains("'5:200:10'"));
  CHECK_THAT(refusal("0:0:1,0:0:1"), Contains("'0:0:1'"));
  for (const char* bad : {"", "0", "0:1", "0:1:", ":1:2", "a:1:2", "0:1:2:3", "0:1:2 ", " 0:1:2", "-1:1:2", "+1:1:2",
                          "0:1:4294967296", "0:1:2,", ",0:1:2", "0:1:2;3:4:5"}) {
    INFO(bad);
    CHECK_THAT(refusal(bad), Contains("no CONTAINER:HOST:SIZE"));
  }
}

TEST_CASE("There and back is the same id, for any ranges") {
  std::mt19937 random(7);
  const auto below = [&](std::uint32_t end) {
    return std::uniform_int_distribution<std::uint32_t>(0, end - 1)(random);
  };
  for (int round = 0; round < 200; ++round) {
    // Disjoint on both sides, in different orders: slots of 1,000 ids each.
    std::set<std::uint32_t> containers, hosts;
    while (containers.size() < 6) containers.insert(below(4000000) * 1000);
    while (hosts.size() < 6) hosts.insert(below(4000000) * 1000);
    std::vector<std::uint32_t> order(hosts.begin(), hosts.end());
    std::shuffle(order.begin(), order.end(), random);
    std::vector<IdRange> ranges;
    std::size_t next = 0;
    for (const std::uint32_t container : containers) ranges.push_back({container, order[next++], 1 + below(1000)});
    const IdRanges map{ranges};
    for (const auto& [container, host, count] : ranges) {
      const std::uint32_t at = below(count);
      CHECK(map.to_host(container + at) == host + at);
      CHECK(map.to_container(host + at) == container + at);
      if (count < 1000) CHECK(map.to_host(container + count) == std::nullopt);
      if (count < 1000) CHECK(map.to_container(host + count) == std::nullopt);
    }
    ranges.push_back({*containers.begin(), 4000000001, 1});
    CHECK_THROWS_AS(IdRanges(ranges), Error);
  }
}
