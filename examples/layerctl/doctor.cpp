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

struct DoctorArguments {
  std::string backend, layer;
};

std::vector<strata::Finding> findings_of(const Session& session, const DoctorArguments& arguments) {
  if (!arguments.layer.empty()) {
    const auto store = session.open_store();
    return strata::diagnose_chain(store, store.resolve(arguments.layer));
  }
  return arguments.backend.empty() ? strata::diagnose(session.root) : strata::diagnose_backend(arguments.backend);
}

int doctor(const Session& session, const DoctorArguments& arguments) {
  const auto findings = findings_of(session, arguments);
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
  CLI::App* command = app.add_subcommand("doctor", "Show what this kernel, filesystem and user can do");
  auto arguments = std::make_shared<DoctorArguments>();
  auto* backend = command->add_option("--backend", arguments->backend, "Only what this mount backend can do: overlay")
                      ->type_name("NAME");
  command->add_option("--layer", arguments->layer, "Whether the chain of this layer can be mounted, and if not, why")
      ->type_name("ID")
      ->excludes(backend);
  on(command, session, std::move(arguments), doctor);
}

}  // namespace layerctl
