// pull, push, load, save, copy
#include "manager.hpp"
#include "registry_options.hpp"

#include <boost/filesystem/operations.hpp>
#include <iostream>
#include <map>

namespace layerctl {

namespace fs = boost::filesystem;

namespace {

using strata::ImageName;

constexpr const char* names_help =
    "docker://NAME[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME]";

/// Which image had which name before; says afterwards which names one has taken from another.
class NamesBefore {
 public:
  explicit NamesBefore(const strata::LayerStoreBase& store) {
    for (const strata::Image& image : strata::ImageStore(store).list())
      for (const std::string& name : image.names) names_.emplace(name, image.digest);
  }
  void tell(const Session& session, const strata::Image& image) {
    for (const std::string& name : image.names) {
      const auto [before, is_new] = names_.try_emplace(name, image.digest);
      if (is_new || before->second == image.digest) continue;
      if (!session.quiet) std::cerr << strata::quoted(name) << " was " << before->second.to_string() << " before\n";
      before->second = image.digest;
    }
  }

 private:
  std::map<std::string, strata::Digest> names_;
};

struct PullCommand {
  std::vector<std::string> names;
  std::string tag;
  strata::PullOptions::When when = strata::PullOptions::When::always;
  PullArguments pull;
  RegistryArguments registry;
};

int pull(const Session& session, const PullCommand& arguments) {
  auto store = session.open_store(true);
  auto manager =
      make_manager(session, store, strata::AnyMounter(store), {.registry = arguments.registry.options(session)});
  strata::PullOptions options = arguments.pull.options(session);
  options.when = arguments.when;
  options.name = arguments.tag;
  std::vector<strata::Image> images;
  NamesBefore before(store);
  for (const std::string& name : arguments.names) {
    images.push_back(session.watch_image("pull", [&](const strata::ImageControl& control) {
      options.control = control;
      return resumable([&] { return manager.pull(name, options); });
    }));
    before.tell(session, images.back());
  }
  print(session, images);
  return 0;
}

struct LoadCommand {
  std::string name, tag;
  PullArguments pull;
};

/// What an archive is, by looking into it. One may be both (docker 25 writes such); its OCI layout says more then.
strata::AnySource open_archive(const std::string& file) {
  try {
    return strata::open_source({.transport = ImageName::Transport::oci_archive, .path = file});
  } catch (const strata::Error& error) {
    if (error.code() != strata::errc::bad_archive) throw;
  }
  return strata::open_source({.transport = ImageName::Transport::docker_archive, .path = file});
}

bool names_transport(const std::string& text) {
  for (const char* transport : {"docker://", "oci:", "oci-archive:", "docker-archive:", "strata:"})
    if (text.starts_with(transport)) return true;
  return false;
}

strata::AnySource open_to_load(const std::string& name) {
  if (names_transport(name)) return strata::open_source(ImageName::parse(name));
  if (fs::is_directory(name)) return strata::open_source({.transport = ImageName::Transport::oci, .path = name});
  return open_archive(name);
}

int load(const Session& session, const LoadCommand& arguments) {
  auto source = open_to_load(arguments.name);  // before a store is made for what isn't there
  auto store = session.open_store(true);
  auto manager = make_manager(session, store, strata::AnyMounter(store));
  strata::PullOptions options = arguments.pull.options(session);
  NamesBefore before(store);
  const auto image = session.watch_image("load", [&](const strata::ImageControl& control) {
    options.control = control;
    return resumable([&] { return manager.pull(std::move(source), arguments.tag, options); });
  });
  before.tell(session, image);
  print(session, std::vector{image});
  return 0;
}

struct PushCommand {
  std::string image, to;
  std::vector<std::string> mount_from;
  std::optional<std::uint64_t> chunk;
  strata::PushOptions push;
  RegistryArguments registry;
};

int push_to(const Session& session, const PushCommand& arguments, const char* verb) {
  auto store = session.open_store();
  const auto manager = make_manager(session, store, strata::AnyMounter(store));
  (void)manager.images().get(arguments.image);  // before anything is made where it is to go
  strata::PushOptions options = arguments.push;
  // Such an archive has no manifest that could keep its digest, and its layers are plain.
  if (ImageName::parse(arguments.to).transport == ImageName::Transport::docker_archive) {
    options.compress = strata::PushOptions::Compress::none;
    options.recompress = true;
  }
  const strata::Document manifest = session.watch_image(verb, [&](const strata::ImageControl& control) {
    options.control = control;
    return manager.push(arguments.image, arguments.to, options,
                        {.registry = arguments.registry.options(session),
                         .push = {.chunk = arguments.chunk.value_or(0), .mount_from = arguments.mount_from}});
  });
  if (session.json)
    print(Json{{"digest", manifest.digest.to_string()},
               {"media_type", manifest.media_type},
               {"size", manifest.bytes.size()},
               {"to", ImageName::parse(arguments.to).to_string()}});
  else
    std::cout << manifest.digest.to_string() << '\n';
  return 0;
}

int push(const Session& session, const PushCommand& arguments) {
  PushCommand whole = arguments;
  if (whole.to.empty()) {
    const strata::Image image = strata::ImageStore(session.open_store()).get(arguments.image);
    whole.to = name_meant(image, arguments.image);
    if (whole.to.empty())
      strata::throw_error(strata::errc::bad_argument, "push", strata::quoted(arguments.image), "it isn't said where to",
                          "give the name that it is to have there");
  }
  return push_to(session, whole, "push");
}

int save(const Session& session, const PushCommand& arguments) { return push_to(session, arguments, "save"); }

struct CopyCommand {
  std::string from, to, platform;
  RegistryArguments source, target;
};

int copy(const Session& session, const CopyCommand& arguments) {
  const ImageName from = ImageName::parse(arguments.from), to = ImageName::parse(arguments.to);
  auto source = strata::open_source(from, {.registry = arguments.source.options(session)});
  auto sink = strata::open_sink(to, {.registry = arguments.target.options(session)});
  const strata::Document top = session.watch_image("copy", [&](const strata::ImageControl& control) {
    return strata::copy_image(source, sink, {.platform = platform_of(arguments.platform), .control = control});
  });
  if (session.json)
    print(Json{{"digest", top.digest.to_string()},
               {"media_type", top.media_type},
               {"size", top.bytes.size()},
               {"from", from.to_string()},
               {"to", to.to_string()}});
  else
    std::cout << top.digest.to_string() << '\n';
  return 0;
}

void add_pull(CLI::App& app, Session& session) {
  using When = strata::PullOptions::When;
  CLI::App* command = app.add_subcommand("pull", "Fetch images into the store, and print their digests");
  auto arguments = std::make_shared<PullCommand>();
  command
      ->add_option("NAME", arguments->names,
                   std::string("The image, as debian:12; or ") + names_help + ", strata:ROOT:NAME")
      ->required();
  command->add_option("--tag", arguments->tag, "What the image is called in the store; default: as where it comes from")
      ->type_name("NAME");
  command
      ->add_option("--policy", arguments->when, "missing: not where an image of this name is there; never: only look")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, When>{{"always", When::always}, {"missing", When::missing}, {"never", When::never}}))
      ->type_name("always|missing|never")
      ->default_str("always");
  add_pull_options(*command, arguments->pull);
  add_registry(*command, arguments->registry, true);
  command->callback([&session, arguments] {
    if (!arguments->tag.empty() && arguments->names.size() > 1)
      throw CLI::ValidationError("pull", "takes one image with --tag");
    session.action = [&session, arguments] { return pull(session, *arguments); };
  });
}

void add_push(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("push", "Write an image to a registry, and print the digest that it has there");
  auto arguments = std::make_shared<PushCommand>();
  command->add_option("IMAGE", arguments->image, "The image, by name or digest")->required();
  command->add_option("NAME", arguments->to, std::string("Where to; default: its name. ") + names_help);
  add_compress(*command, arguments->push);
  command
      ->add_option("--mount-from", arguments->mount_from,
                   "A repository of the same registry that may have layers already; repeatable")
      ->type_name("REPOSITORY")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
  add_size(*command, "--chunk", arguments->chunk,
           "Send layers in parts of this size, for registries and proxies that refuse large requests");
  add_transfers(*command, arguments->push.transfers);
  add_registry(*command, arguments->registry, false);
  on(command, session, std::move(arguments), push);
}

void add_load(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("load", "Take an image from an archive or a layout, and print its digest");
  auto arguments = std::make_shared<LoadCommand>();
  command
      ->add_option("NAME", arguments->name,
                   std::string("A file of docker save, podman save or skopeo, an OCI layout; or ") + names_help)
      ->required();
  command->add_option("--tag", arguments->tag, "What the image is called in the store; default: as in the archive")
      ->type_name("NAME");
  add_pull_options(*command, arguments->pull);
  on(command, session, std::move(arguments), load);
}

void add_save(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("save", "Write an image to an archive or a layout, and print its digest there");
  auto arguments = std::make_shared<PushCommand>();
  command->add_option("IMAGE", arguments->image, "The image, by name or digest")->required();
  command->add_option("NAME", arguments->to, "oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:NAME]")
      ->required()
      ->check([](const std::string& text) -> std::string {
        for (const char* transport : {"oci:", "oci-archive:", "docker-archive:"})
          if (text.starts_with(transport)) return {};
        return strata::quoted(text) + " begins with none of oci:, oci-archive:, docker-archive:";
      });
  add_compress(*command, arguments->push);
  on(command, session, std::move(arguments), save);
}

void add_copy(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("copy", "Copy an image, or all of an index, as it is, without a store");
  auto arguments = std::make_shared<CopyCommand>();
  command->add_option("FROM", arguments->from, std::string(names_help) + ", strata:ROOT:NAME")->required();
  command->add_option("TO", arguments->to, names_help)->required();
  add_platform(*command, arguments->platform);
  add_registry(*command, arguments->source, true, "src-");
  add_registry(*command, arguments->target, false, "dest-");
  on(command, session, std::move(arguments), copy);
}

}  // namespace

void add_transfer_commands(CLI::App& app, Session& session) {
  add_pull(app, session);
  add_push(app, session);
  add_load(app, session);
  add_save(app, session);
  add_copy(app, session);
}

}  // namespace layerctl
