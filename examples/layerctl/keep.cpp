// gc, lease, leases, release, tag, untag, tags
#include "keep.hpp"

#include "session.hpp"
#include "text.hpp"

#include <charconv>
#include <iostream>

namespace layerctl {

namespace {

using std::chrono::seconds;

struct GcArguments {
  bool dry_run = false;
  std::string min_age = "1h";
};

int gc(const Session& session, const GcArguments& arguments) {
  auto store = session.open_store();
  strata::GcOptions options{.dry_run = arguments.dry_run, .min_age = parse_duration(arguments.min_age)};
  const strata::GcResult result = session.watch("gc", [&](const strata::Control& control) {
    options.control = control;
    return store.gc(options);
  });
  if (session.json) {
    Json object{{"dry_run", arguments.dry_run}};
    object.update(json_of(result));
    print(object);
    return 0;
  }
  for (const strata::Digest& id : result.layers) std::cout << id.to_string() << '\n';
  say(result, arguments.dry_run);
  return 0;
}

struct LeaseArguments {
  std::string name;
  std::vector<std::string> ids;
  std::string expires;
};

int lease(const Session& session, const LeaseArguments& arguments) {
  auto store = session.open_store();
  std::vector<strata::Digest> ids;
  for (const std::string& id : arguments.ids) ids.push_back(store.resolve(id));
  const auto held = Keep{.lease = arguments.name, .tag = {}}.open_lease(store);
  if (!arguments.expires.empty()) held->renew(parse_duration(arguments.expires));
  for (const strata::Digest& id : ids) held->add(id);
  if (session.json) print(Json{{"lease", held->name()}});
  return 0;
}

struct Nothing {};

int leases(const Session& session, const Nothing&) {
  Json array = Json::array();
  Table table({"NAME", "LAYERS", "CREATED", "EXPIRES", "STATE"});
  for (const strata::LeaseState& lease : session.open_store().leases()) {
    Json layers = Json::array();
    for (const strata::Digest& layer : lease.layers) layers.push_back(layer.to_string());
    array.push_back({{"name", lease.name},
                     {"layers", std::move(layers)},
                     {"created", lease.created},
                     {"expires", lease.expires},
                     {"survives", lease.survives},
                     {"live", lease.live}});
    table.add({lease.name, std::to_string(lease.layers.size()), lease.created,
               lease.expires.empty() ? "never" : lease.expires,
               !lease.live      ? "ended"
               : lease.survives ? "kept"
                                : "held by a process"});
  }
  session.json ? print(array) : table.print(std::cout);
  return 0;
}

struct OneName {
  std::string name;
};

int release(const Session& session, const OneName& arguments) {
  session.open_store().remove_lease(arguments.name);
  if (session.json) print(Json{{"released", arguments.name}});
  return 0;
}

struct TagArguments {
  std::string id, name;
};

int tag(const Session& session, const TagArguments& arguments) {
  auto store = session.open_store();
  if (const strata::ImageStore images{store}; const auto image = images.find(arguments.id)) {
    images.tag(image->digest, arguments.name);
    if (session.json)
      print(Json{{"tag", arguments.name}, {"layer", image->layer.to_string()}, {"image", image->digest.to_string()}});
    return 0;
  }
  const strata::Digest id = store.resolve(arguments.id);
  store.tag(arguments.name, id);
  if (session.json) print(Json{{"tag", arguments.name}, {"layer", id.to_string()}});
  return 0;
}

int untag(const Session& session, const OneName& arguments) {
  session.open_store().untag(arguments.name);
  if (session.json) print(Json{{"untagged", arguments.name}});
  return 0;
}

int tags(const Session& session, const Nothing&) {
  Json array = Json::array();
  Table table({"TAG", "LAYER"});
  for (const strata::Tag& tag : session.open_store().tags()) {
    array.push_back({{"tag", tag.name}, {"layer", tag.layer.to_string()}});
    table.add({tag.name, short_id(tag.layer)});
  }
  session.json ? print(array) : table.print(std::cout);
  return 0;
}

}  // namespace

Json json_of(const strata::GcResult& result) {
  const auto texts = [](const std::vector<strata::Digest>& digests) {
    Json array = Json::array();
    for (const strata::Digest& digest : digests) array.push_back(digest.to_string());
    return array;
  };
  return {{"images", texts(result.images)},
          {"layers", texts(result.layers)},
          {"trees", texts(result.trees)},
          {"blobs", texts(result.blobs)},
          {"leases", result.leases},
          {"drafts", result.drafts},
          {"downloads", result.downloads},
          {"unreadable", texts(result.unreadable)},
          {"exclusive_bytes", result.exclusive_bytes},
          {"shared_bytes", result.shared_bytes},
          {"files", result.files}};
}

void say(const strata::GcResult& result, bool dry_run) {
  std::cerr << (dry_run ? "would remove " : "removed ") << result.images.size() << " images, " << result.layers.size()
            << " layers, " << result.trees.size() << " trees, " << result.blobs.size() << " blobs, "
            << result.leases.size() << " leases, " << result.drafts.size() << " drafts, " << result.downloads.size()
            << " downloads: " << human_size(result.exclusive_bytes) << " on the disk";
  if (result.shared_bytes != 0)
    std::cerr << ", and " << human_size(result.shared_bytes) << " that are used elsewhere too";
  std::cerr << '\n';
  for (const strata::Digest& id : result.unreadable)
    std::cerr << "layerctl: the record of " << id.to_string()
              << " can't be read, so all that it may need stays; repair the layer, or import it again\n";
}

seconds parse_duration(const std::string& text) {
  long long number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  const long long factor = unit.empty() || unit == "s" ? 1
                           : unit == "m"               ? 60
                           : unit == "h"               ? 3600
                           : unit == "d"               ? 86400
                                                       : 0;
  constexpr long long longest = 1'000'000'000'000;
  if (error != std::errc() || factor == 0 || number < 0 || number > longest / factor)
    strata::throw_error(strata::errc::bad_argument, "use", strata::quoted(text), "it is no time",
                        "write 90s, 15m, 1h or 7d");
  return seconds(number * factor);
}

std::optional<strata::Lease> Keep::open_lease(strata::LayerStoreBase& store) const {
  if (lease.empty()) return std::nullopt;
  try {
    return store.open_lease(lease);
  } catch (const strata::Error& error) {
    if (error.code() != strata::errc::not_found) throw;
  }
  return store.lease({.name = lease, .survives = true});
}

void add_keep(CLI::App& command, Keep& keep) {
  command
      .add_option("--lease", keep.lease, "Keep what is stored from gc by this lease, which is made if there is none")
      ->type_name("NAME");
  command.add_option("--tag", keep.tag, "Give what is stored this tag; of several layers, the topmost")
      ->type_name("TAG");
}

void add_keep_commands(CLI::App& app, Session& session) {
  {
    CLI::App* command =
        app.add_subcommand("gc", "Remove all layers that no container, lease, tag or other layer needs");
    auto arguments = std::make_shared<GcArguments>();
    command->add_flag("--dry-run", arguments->dry_run, "Remove nothing; print what would be");
    command->add_option("--min-age", arguments->min_age, "Leave layers alone that were imported later than this ago")
        ->type_name("TIME")
        ->capture_default_str();
    on(command, session, std::move(arguments), gc);
  }
  {
    CLI::App* command = app.add_subcommand("lease", "Keep layers from gc by a lease, which is made if there is none");
    auto arguments = std::make_shared<LeaseArguments>();
    command->add_option("NAME", arguments->name, "The lease")->required();
    command->add_option("ID", arguments->ids, "The layers; none: the lease is only made, or renewed");
    command
        ->add_option("--expires", arguments->expires, "When it ends, from now on, as 1h; default: never, or as it was")
        ->type_name("TIME");
    on(command, session, std::move(arguments), lease);
  }
  on(app.add_subcommand("leases", "List the leases"), session, std::make_shared<Nothing>(), leases);
  {
    CLI::App* command = app.add_subcommand("release", "End a lease");
    auto arguments = std::make_shared<OneName>();
    command->add_option("NAME", arguments->name, "The lease")->required();
    on(command, session, std::move(arguments), release);
  }
  {
    CLI::App* command = app.add_subcommand("tag", "Give a layer or an image a name more; one of this name loses it");
    auto arguments = std::make_shared<TagArguments>();
    command->add_option("ID", arguments->id, "The layer or the image, by id, digest or another name")->required();
    command->add_option("TAG", arguments->name, "The name, as debian:12")->required();
    on(command, session, std::move(arguments), tag);
  }
  {
    CLI::App* command = app.add_subcommand(
        "untag", "Take a name from its layer or image, which stays until gc or prune finds that nothing needs it");
    auto arguments = std::make_shared<OneName>();
    command->add_option("TAG", arguments->name, "The name")->required();
    on(command, session, std::move(arguments), untag);
  }
  on(app.add_subcommand("tags", "List the tags"), session, std::make_shared<Nothing>(), tags);
}

}  // namespace layerctl
