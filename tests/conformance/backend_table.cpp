// Listeners are in the part of Catch2 that a test alone doesn't need.
#define CATCH_CONFIG_EXTERNAL_INTERFACES

#include "conformance/backend_table.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace strata::test {
namespace {

constexpr const char* suffix = " is a mount backend";

/// The cells of the table, and what is found out while a section runs.
struct Table {
  std::vector<std::string> backends, sections;
  std::map<std::pair<std::string, std::string>, std::string> cells;
  std::string backend, lacks;
};

Table& table() {
  static Table the_table;
  return the_table;
}

void add_once(std::vector<std::string>& list, const std::string& name) {
  if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
}

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

class Listener : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    const std::size_t at = info.name.find(suffix);
    table().backend = at == std::string::npos ? "" : info.name.substr(0, at);
    if (!table().backend.empty()) add_once(table().backends, table().backend);
  }
  void sectionEnded(const Catch::SectionStats& stats) override {
    Table& t = table();
    if (t.backend.empty()) return;
    const std::string& section = stats.sectionInfo.name;
    if (section.find(suffix) != std::string::npos) {  // the whole test, which was skipped, if it lacks something
      if (!t.lacks.empty()) t.cells[{t.backend, ""}] = "unsupported " + t.lacks;
    } else {
      add_once(t.sections, section);
      const std::string fits = t.lacks.empty() ? "pass" : "unsupported: " + t.lacks;
      t.cells[{t.backend, section}] = stats.assertions.failed != 0 ? "FAIL" : fits;
    }
    t.lacks.clear();
  }
  void testRunEnded(const Catch::TestRunStats&) override {
    const Table& t = table();
    if (t.backends.empty()) return;
    std::puts("| backend | is asked that | |\n|---|---|---|");
    for (const std::string& backend : t.backends) {
      if (const auto skipped = t.cells.find({backend, ""}); skipped != t.cells.end()) {
        std::printf("| %s | all | %s |\n", backend.c_str(), skipped->second.c_str());
        continue;
      }
      for (const std::string& section : t.sections) {
        const auto cell = t.cells.find({backend, section});
        std::printf("| %s | %s | %s |\n", backend.c_str(), section.c_str(),
                    cell == t.cells.end() ? "not run" : cell->second.c_str());
      }
    }
    std::fflush(stdout);
  }
};

CATCH_REGISTER_LISTENER(Listener)

}  // namespace

void unsupported(const std::string& why) { table().lacks = why; }

}  // namespace strata::test
