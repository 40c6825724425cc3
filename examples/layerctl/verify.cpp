// verify, repair, verify-image, repair-image
#include "manager.hpp"
#include "registry_options.hpp"
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

Json json_of(const strata::RepairResult& result) {
  return {{"id", result.id.to_string()},
          {"ok", result.ok()},
          {"rebuilt", result.rebuilt},
          {"mended", json_of(result.mended)},
          {"left", json_of(result.left)}};
}

void tell(const strata::RepairResult& result) {
  for (const strata::Damage& damage : result.mended) tell(result.id, damage, "mended: ");
  for (const strata::Damage& damage : result.left) tell(result.id, damage, "left: ");
  if (result.ok()) std::cout << result.id.to_string() << " ok\n";
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
  if (session.json)
    print(json_of(result));
  else
    tell(result);
  if (!result.ok())
    strata::throw_error(strata::errc::damaged, "repair", id.to_string(),
                        std::to_string(result.left.size()) + " things are left",
                        arguments.from.empty() ? "give the layer itself with --from" : "");
  return 0;
}

struct VerifyImageArguments {
  std::vector<std::string> images;
  strata::VerifyLevel level = strata::VerifyLevel::full;
};

Json json_of(const std::vector<strata::ImageVerifyResult::Blob>& blobs) {
  Json array = Json::array();
  for (const auto& blob : blobs) array.push_back({{"blob", blob.digest.to_string()}, {"what", blob.what}});
  return array;
}

Json json_of(const strata::ImageVerifyResult& result) {
  Json layers = Json::array();
  for (const strata::VerifyResult& layer : result.layers)
    layers.push_back({{"id", layer.id.to_string()}, {"ok", layer.ok()}, {"damages", json_of(layer.damages)}});
  return {{"image", result.image.to_string()},
          {"ok", result.ok()},
          {"record", result.record},
          {"layers", std::move(layers)},
          {"blobs", json_of(result.blobs)}};
}

/// Also of one that is damaged.
strata::Digest digest_of(const strata::ImageStore& images, const std::string& name) {
  if (const auto digest = images.resolve(name)) return *digest;
  return images.get(name).digest;  // says that there is none
}

int verify_image(const Session& session, const VerifyImageArguments& arguments) {
  const auto store = session.open_store();
  const strata::ImageStore images{store};
  std::vector<strata::Digest> digests;
  for (const std::string& name : arguments.images) digests.push_back(digest_of(images, name));
  if (arguments.images.empty()) digests = images.digests();
  const auto results = session.watch("verify", [&](const strata::Control& control) {
    return images.verify(digests, {.level = arguments.level, .control = control});
  });
  if (!arguments.images.empty() && results.size() != digests.size())
    strata::throw_error(strata::errc::not_found, "verify", "the images", "one was removed meanwhile");
  Json array = Json::array();
  for (const strata::ImageVerifyResult& result : results) {
    array.push_back(json_of(result));
    if (session.json) continue;
    const std::string image = result.image.to_string();
    if (!result.record.empty()) std::cout << image << ' ' << shown(result.record) << '\n';
    for (const strata::VerifyResult& layer : result.layers)
      for (const strata::Damage& damage : layer.damages) {
        std::cout << image << ' ';
        tell(layer.id, damage, "");
      }
    for (const auto& blob : result.blobs)
      std::cout << image << " the kept blob " << blob.digest.to_string() << ": " << shown(blob.what) << '\n';
    if (result.ok()) std::cout << image << " ok\n";
  }
  if (session.json) print(array);
  const auto damaged = std::ranges::count_if(results, [](const auto& result) { return !result.ok(); });
  if (damaged > 0)
    strata::throw_error(strata::errc::damaged, "verify",
                        std::to_string(damaged) + " of " + std::to_string(results.size()) + " images", "",
                        "layerctl repair-image mends layers and kept blobs, and pull the rest");
  return 0;
}

struct RepairImageArguments {
  std::string image, from;
  bool squash_owners = false;
  Limits limits;
  RegistryArguments registry;
};

int repair_image(const Session& session, const RepairImageArguments& arguments) {
  auto store = session.open_store();
  auto manager = make_manager(session, store, strata::AnyMounter(store));
  const strata::Digest image = digest_of(manager.images(), arguments.image);
  std::optional<strata::AnySource> source;
  if (!arguments.from.empty())
    source = strata::open_source(strata::ImageName::parse(arguments.from),
                                 {.registry = arguments.registry.options(session)});
  const strata::ImageRepairResult result =
      session.watch("repair " + short_id(image), [&](const strata::Control& control) {
        return manager.repair(image, {.source = source ? &*source : nullptr,
                                      .owners = arguments.squash_owners ? strata::Owners::squash : strata::Owners::keep,
                                      .budget = arguments.limits.budget(),
                                      .control = control});
      });
  if (session.json) {
    Json layers = Json::array(), replaced = Json::array();
    for (const strata::RepairResult& layer : result.layers) layers.push_back(json_of(layer));
    for (const strata::Digest& blob : result.replaced) replaced.push_back(blob.to_string());
    print(Json{{"image", image.to_string()},
               {"ok", result.ok()},
               {"recorded", result.recorded},
               {"record", result.record},
               {"layers", std::move(layers)},
               {"replaced", std::move(replaced)},
               {"removed", json_of(result.removed)},
               {"left", json_of(result.left)}});
  } else {
    if (result.recorded) std::cout << image.to_string() << " mended: its record\n";
    if (!result.record.empty()) std::cout << image.to_string() << " left: " << shown(result.record) << '\n';
    for (const strata::RepairResult& layer : result.layers) tell(layer);
    for (const strata::Digest& blob : result.replaced) std::cout << blob.to_string() << " mended: the kept blob\n";
    for (const auto& blob : result.removed)
      std::cout << blob.digest.to_string() << " removed: " << shown(blob.what) << '\n';
    for (const auto& blob : result.left) std::cout << blob.digest.to_string() << " left: " << shown(blob.what) << '\n';
    if (result.ok()) std::cout << image.to_string() << " ok\n";
  }
  if (!result.ok())
    strata::throw_error(strata::errc::damaged, "repair", image.to_string(), "something is left",
                        arguments.from.empty() ? "say with --from where its blobs are to be had" : "");
  return 0;
}

/// --quick, --full, --prove
void add_level(CLI::App& command, strata::VerifyLevel& level) {
  const auto add = [&](const char* name, strata::VerifyLevel meant, const char* description) {
    return command.add_flag_callback(
        name, [&level, meant] { level = meant; }, description);
  };
  CLI::Option* quick =
      add("--quick", strata::VerifyLevel::quick, "Look at names, sizes and attributes only, and read no file");
  CLI::Option* full = add("--full", strata::VerifyLevel::full, "Read every file too (default)");
  CLI::Option* prove = add("--prove", strata::VerifyLevel::proving, "Make the layer tar too, and compare its digest");
  quick->excludes(full)->excludes(prove);
  full->excludes(prove);
}

}  // namespace

void add_verify_commands(CLI::App& app, Session& session) {
  {
    CLI::App* command = app.add_subcommand("verify", "Compare layers with what was stored, and name what is bad");
    auto arguments = std::make_shared<VerifyArguments>();
    command->add_option("ID", arguments->ids, "The layers; default: all");
    add_level(*command, arguments->level);
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
  {
    CLI::App* command =
        app.add_subcommand("verify-image", "The same of images: their documents, layers and kept blobs");
    auto arguments = std::make_shared<VerifyImageArguments>();
    command->add_option("IMAGE", arguments->images, "The images, by name or digest; default: all");
    add_level(*command, arguments->level);
    on(command, session, std::move(arguments), verify_image);
  }
  {
    CLI::App* command =
        app.add_subcommand("repair-image", "Mend the layers and kept blobs of an image, and prove them");
    auto arguments = std::make_shared<RepairImageArguments>();
    command->add_option("IMAGE", arguments->image, "The image, by name or digest")->required();
    command
        ->add_option("--from", arguments->from,
                     "Where its blobs are to be had, for what the store itself has no more: as docker://NAME:TAG, or "
                     "oci:DIR")
        ->type_name("NAME");
    add_squash_owners(*command, arguments->squash_owners);
    add_limits(*command, arguments->limits);
    add_registry(*command, arguments->registry, true);
    on(command, session, std::move(arguments), repair_image);
  }
}

}  // namespace layerctl
