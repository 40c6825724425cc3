// inspect
#include "session.hpp"
#include "text.hpp"

#include <boost/filesystem/operations.hpp>
#include <iostream>

namespace layerctl {

namespace {

struct Nothing {};

Json names_of(const std::vector<boost::filesystem::path>& directories) {
  Json names = Json::array();
  for (const auto& directory : directories) names.push_back(directory.native());
  return names;
}

Json json_of(const strata::MountedOverlay& overlay) {
  return {{"path", overlay.entry.target.native()},
          {"source", overlay.entry.source},
          {"read_only", overlay.entry.read_only},
          {"container", overlay.container},
          {"lowers", names_of(overlay.lowers)},
          {"data_only", names_of(overlay.data_only)},
          {"upper", overlay.upper.native()},
          {"work", overlay.work.native()},
          {"here", overlay.here},
          {"elsewhere", overlay.elsewhere}};
}

Json json_of(const strata::ContainerUse& use) {
  Json object{{"name", use.container.name},
              {"layer", use.container.layer.to_string()},
              {"mounted", use.mounted},
              {"inodes", use.inodes},
              {"bytes", use.bytes}};
  if (!use.problem.empty()) object["problem"] = use.problem;
  return object;
}

void print_tables(const strata::Inspection& inspection) {
  Table overlays({"MOUNTED ON", "LAYERS", "UPPER", "CONTAINER", "NAMESPACES"});
  for (const auto& overlay : inspection.overlays) {
    const std::string others =
        overlay.elsewhere.empty() ? "" : "of process " + std::to_string(overlay.elsewhere.front());
    const std::size_t more = overlay.elsewhere.size();
    overlays.add({shown(overlay.entry.target.native()),
                  std::to_string(overlay.lowers.size() + overlay.data_only.size()),
                  overlay.upper.empty() ? "-" : shown(overlay.upper.native()),
                  overlay.container.empty() ? "-" : overlay.container,
                  (overlay.here ? others.empty() ? "this" : "this, " : "") + others +
                      (more > 1 ? " and " + std::to_string(more - 1) + " more" : "")});
  }
  overlays.print(std::cout);
  if (!inspection.containers.empty()) {
    Table containers({"CONTAINER", "LAYER", "STATE", "INODES", "SIZE"});
    for (const auto& use : inspection.containers)
      containers.add({use.container.name, short_id(use.container.layer), use.mounted ? "mounted" : "not mounted",
                      use.problem.empty() ? std::to_string(use.inodes) : "?",
                      use.problem.empty() ? human_size(use.bytes) : shown(use.problem)});
    std::cout << '\n';
    containers.print(std::cout);
  }
  for (const std::string& what : inspection.unread) std::cout << "\nnot seen: " << shown(what) << '\n';
}

int inspect(const Session& session, const Nothing&) {
  // Without a store there are the machine's overlays still.
  const bool has_store = boost::filesystem::exists(session.root);
  const auto inspection = has_store ? strata::inspect(session.open_store()) : strata::inspect();
  if (!session.json) {
    print_tables(inspection);
    return 0;
  }
  Json overlays = Json::array(), containers = Json::array();
  for (const auto& overlay : inspection.overlays) overlays.push_back(json_of(overlay));
  for (const auto& use : inspection.containers) containers.push_back(json_of(use));
  print(Json{{"overlays", overlays}, {"containers", containers}, {"unread", inspection.unread}});
  return 0;
}

}  // namespace

void add_inspect_command(CLI::App& app, Session& session) {
  on(app.add_subcommand("inspect", "Show the overlays of this machine, their layers, and what containers take"),
     session, std::make_shared<Nothing>(), inspect);
}

}  // namespace layerctl
