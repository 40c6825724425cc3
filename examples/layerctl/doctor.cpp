// doctor
#include "session.hpp"
#include "text.hpp"

#include <iostream>

namespace layerctl {

namespace {

const char* name_of(strata::Finding::Verdict verdict) {
  switch (verdict) {
    case strata::Finding::Verdict::good:
      return "good";
    case strata::Finding::Verdict::limited:
      return "limited";
    case strata::Finding::Verdict::bad:
      return "bad";
  }
  return "";
}

struct Nothing {};

int doctor(const Session& session, const Nothing&) {
  const auto findings = strata::diagnose(session.root);
  if (session.json) {
    Json array = Json::array();
    for (const strata::Finding& finding : findings)
      array.push_back({{"topic", finding.topic},
                       {"name", finding.name},
                       {"verdict", name_of(finding.verdict)},
                       {"value", finding.value},
                       {"remedy", finding.remedy}});
    print(array);
    return 0;
  }
  Table table({"", "TOPIC", "WHAT", "FOUND"});
  for (const strata::Finding& finding : findings)
    table.add({name_of(finding.verdict), finding.topic, finding.name, shown(finding.value)});
  table.print(std::cout);
  for (const strata::Finding& finding : findings)
    if (!finding.remedy.empty()) std::cout << '\n' << finding.name << ": " << shown(finding.remedy) << '\n';
  return 0;
}

}  // namespace

void add_doctor_command(CLI::App& app, Session& session) {
  on(app.add_subcommand("doctor", "Show what this kernel, filesystem and user can do"), session,
     std::make_shared<Nothing>(), doctor);
}

}  // namespace layerctl
