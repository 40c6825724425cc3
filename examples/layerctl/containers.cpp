// mount, mounts, umount, remove-container, commit
#include "keep.hpp"
#include "session.hpp"
#include "text.hpp"

#include <boost/filesystem/operations.hpp>
#include <iostream>

namespace layerctl {

namespace fs = boost::filesystem;

namespace {

struct MountArguments {
  std::string id, name, at, backend;
  bool read_only = false;
  std::vector<std::string> options;  // "option=value", or several joined by commas, as of mount(8)
};

void set_options(strata::OverlayOptions& options, std::string_view text) {
  while (!text.empty()) {
    const std::string_view one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(one.size() + 1, text.size()));
    const std::size_t equals = std::min(one.find('='), one.size());
    options.set(one.substr(0, equals), one.substr(std::min(equals + 1, one.size())));
  }
}

Json json_of(const strata::Container& container) { return Json::parse(strata::to_json(container)); }

int mount(const Session& session, const MountArguments& arguments) {
  const auto store = session.open_store();
  strata::MountOptions options{.read_only = arguments.read_only};
  if (!arguments.at.empty()) options.target = fs::absolute(arguments.at);
  for (const std::string& text : arguments.options) set_options(options.overlay, text);
  const strata::AnyMounter mounter(store, arguments.backend);
  auto root = session.watch("mount", [&](const strata::Control& control) {  // a copy, or what is made once, takes time
    options.control = control;
    return mounter.mount(store.resolve(arguments.id), arguments.name, options);
  });
  root.keep();
  if (!session.quiet && root.container().backend == mounter.backend())
    for (const auto& [backend, usable, why] : mounter.passed_over())
      std::cerr << "layerctl: by " << mounter.backend() << ", since " << backend << " can't be used: " << why << '\n';
  if (session.json) {
    Json object = json_of(root.container());
    object["path"] = root.path().native();
    object["method"] = root.result().method;
    print(object);
  } else {
    std::cout << root.path().native() << '\n';
  }
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

struct CommitArguments {
  std::string name;
  Origin origin;
  Keep keep;
};

int commit(const Session& session, const CommitArguments& arguments) {
  auto store = session.open_store();
  const auto container = store.find_container(arguments.name);
  if (!container) strata::throw_error(strata::errc::not_found, "commit", "container " + strata::quoted(arguments.name));
  const auto lease = arguments.keep.open_lease(store);
  const auto layer = session.watch("commit", [&](const strata::Control& control) {
    return store.commit(*container, {.author = arguments.origin.author,
                                     .comment = arguments.origin.comment,
                                     .created = arguments.origin.created,
                                     .lease = lease ? &*lease : nullptr,
                                     .tag = arguments.keep.tag,
                                     .control = control});
  });
  print(session, layer);
  return 0;
}

std::string check_options(const std::string& text) {
  try {
    strata::OverlayOptions options;
    set_options(options, text);
    return {};
  } catch (const strata::Error& error) {
    return error.what();
  }
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
    command
        ->add_option("--at", arguments->at,
                     "An existing directory; default: DIR/mounts/NAME, or, of a copy, where it is")
        ->type_name("DIR");
    command->add_flag("--read-only", arguments->read_only, "Let nothing be written");
    command
        ->add_option("--backend", arguments->backend,
                     "What a new container is mounted by; default: the best that works here")
        ->type_name("NAME")
        ->check(CLI::IsMember(strata::AnyMounter::names()));
    command->add_option("-o", arguments->options, "An option of the overlay, as the kernel names it")
        ->type_name("OPTION=VALUE")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false)
        ->check(check_options);
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
  {
    CLI::App* command = app.add_subcommand("commit", "Make a container's changes a layer, and print its id");
    auto arguments = std::make_shared<CommitArguments>();
    command->add_option("NAME", arguments->name, "The container")->required();
    add_origin(*command, arguments->origin);
    add_keep(*command, arguments->keep);
    on(command, session, std::move(arguments), commit);
  }
}

}  // namespace layerctl
