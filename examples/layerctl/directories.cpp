// apply, unpack
#include "id_maps.hpp"
#include "limits.hpp"
#include "session.hpp"
#include "streams.hpp"

#include <iostream>

namespace layerctl {

namespace {

struct ApplyArguments {
  std::string directory;
  bool overlay = false;
  std::vector<std::string> lowers;
  Expectations expectations;
  IdMaps ids;
  Limits limits;
};

int apply(const Session& session, const ApplyArguments& arguments) {
  const auto source = open_input("-", session.stop);
  strata::ApplyOptions options{
      .conformance = session.conformance(), .ids = arguments.ids.map(), .budget = arguments.limits.budget()};
  arguments.expectations.apply_to(options);
  const strata::ApplyResult result = session.watch("apply", [&](const strata::Control& control) {
    options.control = control;
    if (!arguments.overlay) return strata::apply_flat(*source, arguments.directory, options);
    return strata::apply_overlay(*source, arguments.directory, {arguments.lowers.begin(), arguments.lowers.end()}, {},
                                 options);
  });
  session.show(result.report);
  if (session.json)
    print(Json{{"diff_id", result.diff_id.to_string()},
               {"blob", result.blob.to_string()},
               {"entries", result.entries},
               {"tar_size", result.tar_size},
               {"events", json_of(result.report)},
               {"events_total", result.report.total()}});
  return 0;
}

struct UnpackArguments {
  std::string id, directory;
  IdMaps ids;
  bool squash_owners = false;
};

int unpack(const Session& session, const UnpackArguments& arguments) {
  const auto store = session.open_store();
  const strata::Digest id = store.resolve(arguments.id);
  const strata::Report report = session.watch("unpack", [&](const strata::Control& control) {
    const auto owners = arguments.squash_owners ? strata::Owners::squash : strata::Owners::keep;
    return store.unpack(id, arguments.directory, {.owners = owners, .ids = arguments.ids.map(), .control = control});
  });
  session.show(report);
  if (session.json)
    print(Json{{"id", id.to_string()},
               {"directory", arguments.directory},
               {"events", json_of(report)},
               {"events_total", report.total()}});
  return 0;
}

}  // namespace

void add_directory_commands(CLI::App& app, Session& session) {
  {
    CLI::App* command = app.add_subcommand("apply", "Apply the layer on standard input to a directory");
    auto arguments = std::make_shared<ApplyArguments>();
    command->add_option("DIR", arguments->directory, "A plain root filesystem; with --overlay, an empty directory")
        ->required();
    CLI::Option* overlay = command->add_flag("--overlay", arguments->overlay,
                                             "Make the directory what an overlay mount stacks onto the lowers");
    command->add_option("--lower", arguments->lowers, "A directory below; topmost first")
        ->type_name("DIR")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
        ->allow_extra_args(false)
        ->needs(overlay);
    add_expectations(*command, arguments->expectations);
    add_id_maps(*command, arguments->ids);
    add_limits(*command, arguments->limits);
    on(command, session, std::move(arguments), apply);
  }
  {
    CLI::App* command = app.add_subcommand("unpack", "Write a whole chain as one plain root filesystem");
    auto arguments = std::make_shared<UnpackArguments>();
    command->add_option("ID", arguments->id, "The topmost layer: a tag, or an id, which may be abbreviated")
        ->required();
    command->add_option("DIR", arguments->directory, "An empty or new directory")->required();
    add_squash_owners(*command, arguments->squash_owners);
    add_id_maps(*command, arguments->ids);
    on(command, session, std::move(arguments), unpack);
  }
}

}  // namespace layerctl
