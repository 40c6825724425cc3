// import, list, show, history, remove, verify, repair
#include "keep.hpp"
#include "limits.hpp"
#include "session.hpp"
#include "streams.hpp"
#include "text.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <iostream>
#include <iterator>
#include <mutex>
#include <system_error>
#include <thread>

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

struct VerifyArguments {
  std::vector<std::string> ids;
  strata::VerifyLevel level = strata::VerifyLevel::full;
};

/// A record that can't even be read is damage as any other; the layers after it are still looked at.
strata::VerifyResult verify_one(const strata::LayerStoreBase& store, const strata::Digest& id,
                                const strata::VerifyOptions& options) {
  try {
    return store.verify(id, options);
  } catch (const strata::Error& error) {
    if (error.code() != strata::errc::damaged) throw;
    return {.id = id, .damages = {{.kind = strata::Damage::Kind::record, .path = {}, .what = error.what()}}};
  }
}

/// Layers that are verified beside each other: a small one has too little to do for several threads.
class Verification {
 public:
  Verification(const strata::LayerStoreBase& store, const std::vector<strata::Digest>& ids, strata::VerifyLevel level,
               const strata::Control& control)
      : store_(store), ids_(ids), level_(level), control_(control), results_(ids.size()) {}

  std::vector<strata::VerifyResult> run() {
    const std::size_t threads = std::min<std::size_t>(ids_.size(), std::min(8U, std::thread::hardware_concurrency()));
    std::vector<std::jthread> beside;
    try {
      while (beside.size() + 1 < threads) beside.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      // There can't be another thread: those that are there do the work.
    }
    work();
    beside.clear();
    if (failure_) std::rethrow_exception(failure_);
    return std::move(results_);
  }

 private:
  void work() {
    for (std::size_t i = next_++; i < ids_.size(); i = next_++) {
      try {
        strata::Progress told;
        results_[i] = verify_one(
            store_, ids_[i],
            {.level = level_,
             .control = {.observer = [&](const strata::Progress& now) { show(told, now); }, .stop = control_.stop}});
      } catch (...) {
        const std::lock_guard hold(mutex_);
        if (!failure_) failure_ = std::current_exception();
        next_ = ids_.size();
      }
    }
  }

  /// All layers' counters in one.
  void show(strata::Progress& told, const strata::Progress& now) {
    const std::lock_guard hold(mutex_);
    sum_.phase = now.phase;
    sum_.bytes += now.bytes - told.bytes;
    sum_.total_bytes += now.total_bytes - told.total_bytes;
    sum_.entries += now.entries - told.entries;
    told = now;
    control_.observer(sum_);
  }

  const strata::LayerStoreBase& store_;
  const std::vector<strata::Digest>& ids_;
  const strata::VerifyLevel level_;
  const strata::Control& control_;
  std::vector<strata::VerifyResult> results_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  strata::Progress sum_;
  std::exception_ptr failure_;
};

void tell(const strata::Digest& id, const strata::Damage& damage, std::string_view state) {
  std::cout << id.to_string() << ' ' << state << (damage.path.empty() ? "" : shown(damage.path) + ": ")
            << shown(damage.what) << '\n';
}

Json json_of(const std::vector<strata::Damage>& damages) {
  Json array = Json::array();
  for (const strata::Damage& damage : damages)
    array.push_back({{"path", damage.path}, {"kind", strata::to_string(damage.kind)}, {"what", damage.what}});
  return array;
}

int verify(const Session& session, const VerifyArguments& arguments) {
  const auto store = session.open_store();
  std::vector<strata::Digest> ids;
  for (const std::string& id : arguments.ids) ids.push_back(store.resolve(id));
  if (arguments.ids.empty()) {
    for (const strata::Layer& layer : store.list()) ids.push_back(layer.id);
    std::ranges::copy(store.damaged_records(), std::back_inserter(ids));
  }

  const std::vector<strata::VerifyResult> results = session.watch("verify", [&](const strata::Control& control) {
    return Verification(store, ids, arguments.level, control).run();
  });
  Json array = Json::array();
  std::size_t damaged = 0;
  for (const strata::VerifyResult& result : results) {
    const strata::Digest& id = result.id;
    if (!result.ok()) ++damaged;
    if (!session.json) {
      for (const strata::Damage& damage : result.damages) tell(id, damage, "");
      if (result.ok()) std::cout << id.to_string() << " ok\n";
    }
    array.push_back({{"id", id.to_string()}, {"ok", result.ok()}, {"damages", json_of(result.damages)}});
  }
  if (session.json) print(array);
  if (damaged > 0)
    strata::throw_error(strata::errc::damaged, "verify",
                        std::to_string(damaged) + " of " + std::to_string(ids.size()) + " layers", "",
                        "layerctl repair mends them");
  return 0;
}

struct RepairArguments {
  std::string id;
  std::string from;
  bool squash_owners = false;
};

int repair(const Session& session, const RepairArguments& arguments) {
  const auto source = arguments.from.empty() ? nullptr : open_input(arguments.from, session.stop);
  auto store = session.open_store();
  const strata::Digest id = store.resolve(arguments.id);
  const strata::RepairResult result = session.watch("repair " + short_id(id), [&](const strata::Control& control) {
    return store.repair(id, {.source = source.get(),
                             .owners = arguments.squash_owners ? strata::Owners::squash : strata::Owners::keep,
                             .control = control});
  });
  if (session.json) {
    print(Json{{"id", id.to_string()},
               {"ok", result.ok()},
               {"rebuilt", result.rebuilt},
               {"mended", json_of(result.mended)},
               {"left", json_of(result.left)}});
  } else {
    for (const strata::Damage& damage : result.mended) tell(id, damage, "mended: ");
    for (const strata::Damage& damage : result.left) tell(id, damage, "left: ");
    if (result.ok()) std::cout << id.to_string() << " ok\n";
  }
  if (!result.ok())
    strata::throw_error(strata::errc::damaged, "repair", id.to_string(),
                        std::to_string(result.left.size()) + " things are left",
                        arguments.from.empty() ? "give the layer itself with --from" : "");
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
  {
    CLI::App* command = app.add_subcommand("verify", "Compare layers with what was stored, and name what is bad");
    auto arguments = std::make_shared<VerifyArguments>();
    command->add_option("ID", arguments->ids, "The layers; default: all");
    const auto add_level = [&](const char* name, strata::VerifyLevel level, const char* description) {
      return command->add_flag_callback(
          name, [arguments, level] { arguments->level = level; }, description);
    };
    CLI::Option* quick =
        add_level("--quick", strata::VerifyLevel::quick, "Look at names, sizes and attributes only, and read no file");
    CLI::Option* full = add_level("--full", strata::VerifyLevel::full, "Read every file too (default)");
    CLI::Option* prove =
        add_level("--prove", strata::VerifyLevel::proving, "Make the layer tar too, and compare its digest");
    quick->excludes(full)->excludes(prove);
    full->excludes(prove);
    on(command, session, std::move(arguments), verify);
  }
  {
    CLI::App* command = app.add_subcommand("repair", "Mend what verify finds in a layer, and prove it");
    auto arguments = std::make_shared<RepairArguments>();
    command->add_option("ID", arguments->id, "The layer; an id may be abbreviated")->required();
    command
        ->add_option("--from", arguments->from,
                     "The layer itself, for what the store itself has no more; - is standard input")
        ->type_name("FILE");
    add_squash_owners(*command, arguments->squash_owners);
    on(command, session, std::move(arguments), repair);
  }
}

}  // namespace layerctl
