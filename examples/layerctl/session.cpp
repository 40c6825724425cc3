#include "session.hpp"

#include "text.hpp"

#include <iostream>

namespace layerctl {

strata::LayerStore<> Session::open_store(bool create) const {
  return strata::LayerStore<>{root, {.durability = durability, .create = create}};
}

void Session::show(const strata::Report& report) const {
  constexpr std::size_t most = 50;
  if (quiet) return;
  std::size_t shown_events = 0;
  for (const strata::Event& event : report.events()) {
    if (shown_events == most) break;
    std::cerr << "note: " << event.rule;
    if (!event.path.empty()) std::cerr << ' ' << shown(event.path);
    std::cerr << ": " << shown(event.action) << '\n';
    ++shown_events;
  }
  if (report.total() > shown_events) std::cerr << "… and " << report.total() - shown_events << " more\n";
}

void print(const Json& value) { std::cout << value.dump(2, ' ', false, Json::error_handler_t::replace) << '\n'; }

Json json_of(const strata::Layer& layer) {
  Json object = Json::parse(strata::to_json(layer));
  if (!object.contains("trees")) object["trees"] = object["diff_ids"];  // a record saves itself the repetition
  return object;
}

Json json_of(const strata::Report& report) {
  Json events = Json::array();
  for (const strata::Event& event : report.events())
    events.push_back({{"rule", event.rule}, {"path", event.path}, {"action", event.action}});
  return events;
}

Json json_of(const strata::ImportedLayer& layer) {
  return {{"id", layer.id.to_string()},
          {"existed", layer.existed},
          {"diff_id", layer.diff_id().to_string()},
          {"blob", layer.blob.to_string()},
          {"media_type", layer.media_type},
          {"entries", layer.entries},
          {"size", layer.size},
          {"tar_size", layer.tar_size},
          {"blob_size", layer.blob_size},
          {"events", json_of(layer.report)},
          {"events_total", layer.report.total()}};
}

void print(const Session& session, const strata::ImportedLayer& layer) {
  session.show(layer.report);
  if (session.json)
    print(json_of(layer));
  else
    std::cout << layer.id.to_string() << '\n';
}

void print(const Session& session, const std::vector<strata::ImportedLayer>& layers) {
  if (layers.size() == 1 || !session.json) {
    for (const strata::ImportedLayer& layer : layers) print(session, layer);
    return;
  }
  Json array = Json::array();
  for (const strata::ImportedLayer& layer : layers) {
    session.show(layer.report);
    array.push_back(json_of(layer));
  }
  print(array);
}

void add_origin(CLI::App& command, Origin& origin) {
  command.add_option("--author", origin.author, "Who made the layer")->type_name("TEXT");
  command.add_option("--comment", origin.comment, "What the layer is")->type_name("TEXT");
  command.add_option("--created", origin.created, "When it was made, RFC 3339; default: now, or SOURCE_DATE_EPOCH")
      ->type_name("TIME");
}

void add_expectations(CLI::App& command, Expectations& expectations) {
  const auto is_digest = [](const std::string& text) -> std::string {
    return strata::Digest::try_parse(text) ? "" : strata::quoted(text) + " is no digest (sha256:HEX)";
  };
  command
      .add_option("--digest", expectations.digest, "Refuse the layer unless its bytes, as they come, have this digest")
      ->check(is_digest)
      ->type_name("DIGEST");
  command.add_option("--diff-id", expectations.diff_id, "Refuse the layer unless its uncompressed tar has this digest")
      ->check(is_digest)
      ->type_name("DIGEST");
  add_squash_owners(command, expectations.squash_owners);
}

void add_squash_owners(CLI::App& command, bool& squash) {
  command.add_flag("--squash-owners", squash, "Where an owner can't be given, let the file be yours, and report it");
}

}  // namespace layerctl
