// import, list, show, history, remove
#include "keep.hpp"
#include "limits.hpp"
#include "session.hpp"
#include "streams.hpp"
#include "text.hpp"

#include <algorithm>
#include <iostream>

namespace layerctl {

namespace {

struct ImportArguments {
  std::vector<std::string> files;
  std::string parent;
  Origin origin;
  Expectations expectations;
  Limits limits;
  Keep keep;
  bool allow_unmarked_end = false;
  bool keep_blob = false;
};

int import(const Session& session, const ImportArguments& arguments) {
  if (arguments.files.size() > 1 && !(arguments.expectations.digest + arguments.expectations.diff_id).empty())
    strata::throw_error(strata::errc::bad_argument, "import", std::to_string(arguments.files.size()) + " layers",
                        "--digest and --diff-id are of one");
  std::vector<std::unique_ptr<strata::ByteSource>> sources;
  for (const std::string& file : arguments.files) sources.push_back(open_input(file, session.stop));
  auto store = session.open_store(true);
  strata::ImportOptions options{.author = arguments.origin.author,
                                .comment = arguments.origin.comment,
                                .created = arguments.origin.created,
                                .conformance = session.conformance(),
                                .keep_blob = arguments.keep_blob,
                                .budget = arguments.limits.budget()};
  if (!arguments.parent.empty()) options.parent = store.resolve(arguments.parent);
  if (arguments.allow_unmarked_end) options.end = strata::EndOfLayer::any;
  arguments.expectations.apply_to(options);
  const auto lease = arguments.keep.open_lease(store);
  if (lease) options.lease = &*lease;
  const auto layers = session.watch("import", [&](const strata::Control& control) {
    SumOfProgress sum(control, sources.size());
    std::vector<strata::LayerInput> inputs;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      options.control = sum.part(i);
      if (i + 1 == sources.size()) options.tag = arguments.keep.tag;
      inputs.push_back({*sources[i], options});
    }
    return store.import_chain(inputs);
  });
  print(session, layers);
  return 0;
}

struct Nothing {};

int list(const Session& session, const Nothing&) {
  const auto store = session.open_store();
  const auto layers = store.list();
  for (const strata::Digest& id : store.damaged_records())
    std::cerr << "layerctl: the record of " << id.to_string() << " is damaged; import the layer again\n";
  if (session.json) {
    Json array = Json::array();
    for (const strata::Layer& layer : layers) array.push_back(json_of(layer));
    print(array);
    return 0;
  }
  Table table({"ID", "PARENT", "CREATED", "FILES", "COMMENT"});
  for (const strata::Layer& layer : layers)
    table.add({short_id(layer.id), layer.parent ? short_id(*layer.parent) : "-", layer.created, human_size(layer.size),
               shown(layer.comment)});
  table.print(std::cout);
  return 0;
}

struct OneLayer {
  std::string id;
};

/// Names of the containers that stand directly on this layer.
std::vector<std::string> containers_on(const strata::LayerStoreBase& store, const strata::Digest& id) {
  std::vector<std::string> names;
  for (const strata::Container& container : store.containers())
    if (container.layer == id) names.push_back(container.name);
  return names;
}

int show(const Session& session, const OneLayer& arguments) {
  const auto store = session.open_store();
  const strata::Layer layer = store.get(store.resolve(arguments.id));
  std::vector<std::string> children;
  for (const strata::Layer& child : store.children(layer.id)) children.push_back(child.id.to_string());
  const std::vector<std::string> containers = containers_on(store, layer.id);

  if (session.json) {
    Json object = json_of(layer);
    object["children"] = children;
    object["containers"] = containers;
    print(object);
    return 0;
  }
  Table table({"id", layer.id.to_string()});
  table.add({"parent", layer.parent ? layer.parent->to_string() : "none: a base layer"});
  table.add({"diff id", layer.diff_id().to_string()});
  table.add({"created", layer.created});
  if (!layer.author.empty()) table.add({"author", shown(layer.author)});
  if (!layer.comment.empty()) table.add({"comment", shown(layer.comment)});
  table.add({"files", human_size(layer.size)});
  table.add({"tar", human_size(layer.tar_size) + ", " + std::to_string(layer.entries) + " entries"});
  table.add({"blob", layer.blob.to_string()});
  table.add({"", human_size(layer.blob_size) + ", " + layer.media_type});
  table.add({"chain", std::to_string(layer.diff_ids.size()) + " layers"});
  for (const std::string& child : children) table.add({"child", child});
  for (const std::string& container : containers) table.add({"container", container});
  table.print(std::cout);
  return 0;
}

int history(const Session& session, const OneLayer& arguments) {
  const auto store = session.open_store();
  auto chain = store.chain(store.resolve(arguments.id));
  std::ranges::reverse(chain);
  if (session.json) {
    Json array = Json::array();
    for (const strata::Layer& layer : chain) array.push_back(json_of(layer));
    print(array);
    return 0;
  }
  Table table({"ID", "CREATED", "FILES", "TAR", "AUTHOR", "COMMENT"});
  for (const strata::Layer& layer : chain)
    table.add({short_id(layer.id), layer.created, human_size(layer.size), human_size(layer.tar_size),
               layer.author.empty() ? "-" : shown(layer.author), shown(layer.comment)});
  table.print(std::cout);
  return 0;
}

int remove(const Session& session, const OneLayer& arguments) {
  auto store = session.open_store();
  const strata::Digest id = store.resolve(arguments.id);
  store.remove(id);
  if (session.json) print(Json{{"removed", id.to_string()}});
  return 0;
}

CLI::App* add_id_command(CLI::App& app, Session& session, const char* name, const char* description,
                         int (*run)(const Session&, const OneLayer&)) {
  CLI::App* command = app.add_subcommand(name, description);
  auto arguments = std::make_shared<OneLayer>();
  command->add_option("ID", arguments->id, "The layer: a tag, or an id, which may be abbreviated")->required();
  on(command, session, std::move(arguments), run);
  return command;
}

}  // namespace

void add_layer_commands(CLI::App& app, Session& session) {
  {
    CLI::App* command = app.add_subcommand("import",
                                           "Store layer tars, plain or compressed, each on top of the one before, and "
                                           "print their ids");
    auto arguments = std::make_shared<ImportArguments>();
    command->add_option("FILE", arguments->files, "The layers, base first; - is standard input")->required();
    command->add_option("--parent", arguments->parent, "The layer that the first goes on top of")->type_name("ID");
    add_origin(*command, arguments->origin);
    add_expectations(*command, arguments->expectations);
    add_limits(*command, arguments->limits);
    add_keep(*command, arguments->keep);
    command->add_flag("--allow-unmarked-end", arguments->allow_unmarked_end,
                      "Take a plain tar that has no end marker, and may have been cut");
    command->add_flag("--keep-blob", arguments->keep_blob,
                      "Keep the bytes of the layers too, as they come, for a repair to take contents from");
    on(command, session, std::move(arguments), import);
  }
  on(app.add_subcommand("list", "List the layers"), session, std::make_shared<Nothing>(), list);
  add_id_command(app, session, "show", "Show all about a layer", show);
  add_id_command(app, session, "history", "Show a layer and its parents, topmost first", history);
  add_id_command(app, session, "remove", "Remove a layer that nothing needs", remove);
}

}  // namespace layerctl
