// images, show-image, remove-image, run-root, prune
#include "keep.hpp"
#include "manager.hpp"
#include "mounting.hpp"
#include "registry_options.hpp"
#include "text.hpp"

#include <algorithm>
#include <iostream>

namespace layerctl {

namespace {

struct ImagesArguments {
  bool digests = false;
};

int images(const Session& session, const ImagesArguments& arguments) {
  Json array = Json::array();
  Table table({"NAME", "IMAGE", "LAYERS", "SIZE", "CREATED", "USED"});
  const auto store = session.open_store();
  for (strata::Image& image : strata::ImageStore{store}.list()) {
    Json object = json_of(image);
    if (image.names.empty()) image.names.emplace_back("-");
    for (const std::string& name : image.names)
      table.add({shown(name), arguments.digests ? image.digest.to_string() : short_id(image.digest),
                 std::to_string(object["layers"].size()), human_size(object["size"].get<std::uint64_t>()),
                 shown(object["created"].get<std::string>()), image.used});
    array.push_back(std::move(object));
  }
  session.json ? print(array) : table.print(std::cout);
  return 0;
}

struct ShowArguments {
  std::string image;
  bool manifest = false, config = false;
};

int show_image(const Session& session, const ShowArguments& arguments) {
  const auto store = session.open_store();
  const strata::Image image = strata::ImageStore{store}.get(arguments.image);
  if (arguments.manifest || arguments.config) {
    std::cout << (arguments.manifest ? image.manifest : image.config).bytes;
    return 0;
  }
  Json object = json_of(image);
  object["manifest"] = Json::parse(image.manifest.bytes);
  object["config_digest"] = object["config"];
  object["config"] = Json::parse(image.config.bytes);
  print(object);
  return 0;
}

struct RemoveArguments {
  std::vector<std::string> images;
  bool force = false;
};

int remove_image(const Session& session, const RemoveArguments& arguments) {
  auto store = session.open_store();
  const strata::ImageStore store_images{store};
  Json array = Json::array();
  for (const std::string& text : arguments.images) {
    const auto digest = store_images.resolve(text);
    // Of one that is damaged, no more can be read.
    const strata::Image image =
        digest ? strata::Image{.digest = *digest, .names = store_images.names(*digest)} : store_images.get(text);
    const std::string name = name_meant(image, text);
    Json object{{"image", image.digest.to_string()}, {"layers", Json::array()}};
    // What others know by another name stays, as with docker.
    if (!name.empty() && image.names.size() > 1 && !arguments.force) {
      store.untag(name);
      object["untagged"] = name;
    } else {
      if (image.names.size() > 1 && !arguments.force)
        strata::throw_error(strata::errc::in_use, "remove the image", image.digest.to_string(),
                            "it has " + std::to_string(image.names.size()) + " names", "name one of them, or force it");
      for (const strata::Digest& layer : store_images.remove(image.digest, arguments.force))
        object["layers"].push_back(layer.to_string());
    }
    if (!session.json)
      std::cout << (object.contains("untagged") ? "untagged " + shown(name) : "removed " + image.digest.to_string())
                << '\n';
    array.push_back(std::move(object));
  }
  if (session.json) print(array.size() == 1 ? array.front() : array);
  return 0;
}

struct RunRootArguments {
  std::string image, name;
  strata::PullOptions::When when = strata::PullOptions::When::missing;
  PullArguments pull;
  RegistryArguments registry;
  Mounting mounting;
};

int run_root(const Session& session, const RunRootArguments& arguments) {
  auto store = session.open_store(true);
  strata::AnyMounter mounter(store, arguments.mounting.backend);
  const ChosenBackend chosen(mounter);
  auto manager = make_manager(session, store, std::move(mounter), {.registry = arguments.registry.options(session)});
  strata::PrepareOptions options{.pull = arguments.pull.options(session), .mount = arguments.mounting.mount_options()};
  options.pull.when = arguments.when;
  options.mount.control.stop = session.stop;
  auto root = session.watch_image("pull", [&](const strata::ImageControl& control) {
    options.pull.control = control;
    return resumable([&] { return manager.prepare(arguments.image, arguments.name, options); });
  });
  root.keep();
  print_mounted(session, root, chosen);
  return 0;
}

struct PruneArguments {
  bool all = false, dry_run = false;
  std::string min_age = "1h";
};

int prune(const Session& session, const PruneArguments& arguments) {
  auto store = session.open_store();
  auto manager = make_manager(session, store, strata::AnyMounter(store));
  strata::PruneOptions options{
      .all = arguments.all, .dry_run = arguments.dry_run, .min_age = parse_duration(arguments.min_age)};
  const strata::PruneResult result = session.watch("prune", [&](const strata::Control& control) {
    options.control = control;
    return manager.prune(options);
  });
  if (session.json) {
    Json removed = Json::array();
    for (const strata::Image& image : result.images) removed.push_back(json_of(image));
    print(Json{{"dry_run", arguments.dry_run}, {"images", std::move(removed)}, {"rest", json_of(result.rest)}});
    return 0;
  }
  for (const strata::Image& image : result.images)
    std::cout << image.digest.to_string() << (image.names.empty() ? "" : " " + shown(image.names.front())) << '\n';
  std::cerr << (arguments.dry_run ? "would remove " : "removed ") << result.images.size() << " images; ";
  say(result.rest, arguments.dry_run);
  return 0;
}

}  // namespace

void add_image_commands(CLI::App& app, Session& session) {
  {
    CLI::App* command = app.add_subcommand("images", "List the images of the store");
    auto arguments = std::make_shared<ImagesArguments>();
    command->add_flag("--digests", arguments->digests, "Whole digests");
    on(command, session, std::move(arguments), images);
  }
  {
    CLI::App* command = app.add_subcommand("show-image", "Show all about an image, manifest and config too, as JSON");
    auto arguments = std::make_shared<ShowArguments>();
    command->add_option("IMAGE", arguments->image, "The image, by name or digest")->required();
    auto* manifest = command->add_flag("--manifest", arguments->manifest, "Only its manifest, byte for byte");
    command->add_flag("--config", arguments->config, "Only its config, byte for byte")->excludes(manifest);
    on(command, session, std::move(arguments), show_image);
  }
  {
    CLI::App* command = app.add_subcommand(
        "remove-image", "Remove images, and layers that only they need; of an image with several names, the one given");
    auto arguments = std::make_shared<RemoveArguments>();
    command->add_option("IMAGE", arguments->images, "The images, by name or digest")->required();
    command->add_flag("--force", arguments->force, "With all its names, and also while a container stands on it");
    on(command, session, std::move(arguments), remove_image);
  }
  {
    using When = strata::PullOptions::When;
    CLI::App* command = app.add_subcommand(
        "run-root", "Mount an image as a container, fetch it where it isn't there, and print where it is mounted");
    auto arguments = std::make_shared<RunRootArguments>();
    command->add_option("IMAGE", arguments->image, "The image, by name or digest")->required();
    command->add_option("NAME", arguments->name, "The container; a known one is mounted again with what it holds")
        ->required();
    command->add_option("--policy", arguments->when, "When to fetch it: only where it isn't there, each time, or never")
        ->transform(CLI::CheckedTransformer(
            std::map<std::string, When>{{"always", When::always}, {"missing", When::missing}, {"never", When::never}}))
        ->type_name("always|missing|never")
        ->default_str("missing");
    add_mounting(*command, arguments->mounting);
    add_pull_options(*command, arguments->pull);
    add_registry(*command, arguments->registry, true);
    on(command, session, std::move(arguments), run_root);
  }
  {
    CLI::App* command =
        app.add_subcommand("prune", "Remove images that have no name and no container, and what gc removes");
    auto arguments = std::make_shared<PruneArguments>();
    command->add_flag("--all", arguments->all, "Images with a name too");
    command->add_flag("--dry-run", arguments->dry_run, "Remove nothing; print what would be");
    command->add_option("--min-age", arguments->min_age, "Leave alone what was used later than this ago")
        ->type_name("TIME")
        ->capture_default_str();
    on(command, session, std::move(arguments), prune);
  }
}

}  // namespace layerctl
