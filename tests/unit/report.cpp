#include <strata/report.hpp>

#include "support/catch.hpp"

#include <string>

using strata::Report;

TEST_CASE("a report keeps events in order", "[report]") {
  Report report;
  CHECK(report.empty());
  report.add("A17", "etc/x", "dropped trusted.overlay.opaque");
  report.add("gzip", "", "3 bytes follow the end");
  CHECK_FALSE(report.empty());
  CHECK(report.total() == 2);
  REQUIRE(report.events().size() == 2);
  CHECK(report.events()[0].rule == "A17");
  CHECK(report.events()[0].path == "etc/x");
  CHECK(report.events()[1].action == "3 bytes follow the end");
}

TEST_CASE("a report that is full keeps the first events and counts the rest", "[report]") {
  Report report;
  for (std::size_t i = 0; i < Report::capacity + 10; ++i) report.add("A9", std::to_string(i), "skipped");
  CHECK(report.events().size() == Report::capacity);
  CHECK(report.total() == Report::capacity + 10);
  CHECK(report.events().back().path == std::to_string(Report::capacity - 1));
}

TEST_CASE("a report that has no room for a long text keeps no later one either", "[report]") {
  Report report;
  const std::string path(Report::text_capacity / 4, 'p');
  for (int i = 0; i < 3; ++i) report.add("A9", path, "");
  report.add("A9", path, "");
  report.add("A9", "short", "");
  CHECK(report.events().size() == 3);
  CHECK(report.total() == 5);
  Report all;
  all.append(report);
  all.append(report);
  CHECK(all.events().size() == 3);
  CHECK(all.total() == 10);
}

TEST_CASE("appending a report adds its events, and its count", "[report]") {
  Report all, full;
  all.add("A1", "first", "");
  for (std::size_t i = 0; i < Report::capacity + 5; ++i) full.add("A9", std::to_string(i), "");
  all.append(full);
  CHECK(all.events().size() == Report::capacity);
  CHECK(all.total() == Report::capacity + 6);
  CHECK(all.events()[0].path == "first");
  CHECK(all.events()[1].path == "0");
  Report twice;
  twice.add("A1", "x", "");
  twice.append(twice);
  CHECK(twice.total() == 2);
  REQUIRE(twice.events().size() == 2);
  CHECK(twice.events()[1].path == "x");
}
