// commit
#include "config_change.hpp"
#include "keep.hpp"
#include "manager.hpp"

namespace layerctl {

namespace {

struct CommitArguments {
  std::string container, image, created_by;
  std::vector<std::string> changes;
  Origin origin;
  Keep keep;
};

int commit_image(const Session& session, const CommitArguments& arguments) {
  auto store = session.open_store();
  auto manager = make_manager(session, store, strata::AnyMounter(store));
  const strata::Image image = session.watch("commit", [&](const strata::Control& control) {
    return manager.commit(arguments.container,
                          {.name = arguments.image,
                           .author = arguments.origin.author,
                           .comment = arguments.origin.comment,
                           .created_by = arguments.created_by,
                           .created = arguments.origin.created,
                           .change = [&](strata::ImageConfig& config) { apply_changes(arguments.changes, config); },
                           .control = control});
  });
  print(session, std::vector{image});
  return 0;
}

int commit_layer(const Session& session, const CommitArguments& arguments) {
  auto store = session.open_store();
  const auto container = store.find_container(arguments.container);
  if (!container)
    strata::throw_error(strata::errc::not_found, "commit", "container " + strata::quoted(arguments.container));
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

int commit(const Session& session, const CommitArguments& arguments) {
  return arguments.image.empty() ? commit_layer(session, arguments) : commit_image(session, arguments);
}

}  // namespace

void add_commit_command(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "commit", "Make a container's changes a layer, and print its id; with --name an image, and print its digest");
  auto arguments = std::make_shared<CommitArguments>();
  command->add_option("NAME", arguments->container, "The container")->required();
  auto* image =
      command->add_option("--name", arguments->image, "Make an image of it, with this name")->type_name("IMAGE");
  add_changes(*command, arguments->changes);
  command->get_option("--change")->needs(image);
  command
      ->add_option("--created-by", arguments->created_by,
                   "What the history of the image says of how the layer was made")
      ->type_name("TEXT")
      ->needs(image);
  add_origin(*command, arguments->origin);
  add_keep(*command, arguments->keep);
  for (const char* option : {"--lease", "--tag"}) command->get_option(option)->excludes(image);
  on(command, session, std::move(arguments), commit);
}

}  // namespace layerctl
