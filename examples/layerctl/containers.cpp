// mount, mounts, umount, remove-container
#include "mounting.hpp"
#include "session.hpp"
#include "text.hpp"

#include <iostream>

namespace layerctl {

namespace {

struct MountArguments {
  std::string id, name;
  Mounting mounting;
};

int mount(const Session& session, const MountArguments& arguments) {
  const auto store = session.open_store();
  strata::MountOptions options = arguments.mounting.mount_options();
  const strata::AnyMounter mounter(store, arguments.mounting.backend);
  auto root = session.watch("mount", [&](const strata::Control& control) {  // a copy, or what is made once, takes time
    options.control = control;
    return mounter.mount(store.resolve(arguments.id), arguments.name, options);
  });
  root.keep();
  print_mounted(session, root, ChosenBackend(mounter));
  return 0;
}

struct MountsArguments {
  bool all = false;
};

int mounts(const Session& session, const MountsArguments& arguments) {
  const auto store = session.open_store();
  Table table({"NAME", "LAYER", "BACKEND", "STATE", "PATH"});
  Json array = Json::array();
  for (const strata::ContainerState& state : strata::AnyMounter{store}.list()) {
    // One that is used where it is has no mount.
    const bool in_place = state.container.target == state.container.upper();
    if (!state.mounted && !in_place && !arguments.all) continue;
    Json object = json_of(state.container);
    object["mounted"] = state.mounted.has_value();
    if (state.mounted) object["path"] = state.mounted->target.native();
    if (in_place) object["path"] = state.container.target.native();
    array.push_back(std::move(object));
    table.add({state.container.name, short_id(state.container.layer), state.container.backend,
               in_place                   ? "in place"
               : !state.mounted           ? "not mounted"
               : state.mounted->read_only ? "read-only"
                                          : "read-write",
               in_place        ? shown(state.container.target.native())
               : state.mounted ? shown(state.mounted->target.native())
                               : "-"});
  }
  if (session.json)
    print(array);
  else
    table.print(std::cout);
  return 0;
}

struct OneContainer {
  std::string name;
};

int umount(const Session& session, const OneContainer& arguments) {
  const auto store = session.open_store();
  strata::AnyMounter{store}.unmount(arguments.name);
  if (session.json) print(Json{{"unmounted", arguments.name}});
  return 0;
}

int remove_container(const Session& session, const OneContainer& arguments) {
  const auto store = session.open_store();
  strata::AnyMounter{store}.remove(arguments.name);
  if (session.json) print(Json{{"removed", arguments.name}});
  return 0;
}

}  // namespace

void add_container_commands(CLI::App& app, Session& session) {
  {
    CLI::App* command = app.add_subcommand("mount", "Mount a chain of layers as a container, and print where");
    auto arguments = std::make_shared<MountArguments>();
    command->add_option("ID", arguments->id, "The topmost layer: a tag, or an id, which may be abbreviated")
        ->required();
    command->add_option("NAME", arguments->name, "The container; a known one is mounted again with what it holds")
        ->required();
    add_mounting(*command, arguments->mounting);
    on(command, session, std::move(arguments), mount);
  }
  {
    CLI::App* command = app.add_subcommand("mounts", "List what is mounted");
    auto arguments = std::make_shared<MountsArguments>();
    command->add_flag("--all", arguments->all, "Containers that are not mounted too");
    on(command, session, std::move(arguments), mounts);
  }
  {
    CLI::App* command = app.add_subcommand("umount", "Unmount a container, and keep what it holds");
    auto arguments = std::make_shared<OneContainer>();
    command->add_option("NAME", arguments->name, "The container")->required();
    on(command, session, std::move(arguments), umount);
  }
  {
    CLI::App* command = app.add_subcommand("remove-container", "Delete a container that isn't mounted");
    auto arguments = std::make_shared<OneContainer>();
    command->add_option("NAME", arguments->name, "The container")->required();
    on(command, session, std::move(arguments), remove_container);
  }
}

}  // namespace layerctl
