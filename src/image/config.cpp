#include <strata/error.hpp>
#include <strata/image.hpp>

#include "image/descriptor.hpp"
#include "image/json.hpp"

#include <algorithm>
#include <utility>

namespace strata {

namespace {

using detail::JsonObject;
using detail::OrderedJson;
using List = std::optional<std::vector<std::string>>;

HistoryEntry read_history(const JsonObject& object) {
  return {.created = object.text_or_empty("created"),
          .created_by = object.text_or_empty("created_by"),
          .author = object.text_or_empty("author"),
          .comment = object.text_or_empty("comment"),
          .empty_layer = object.flag_or_false("empty_layer")};
}

OrderedJson write_history(const HistoryEntry& entry) {
  OrderedJson json = OrderedJson::object();
  detail::set_text(json, "created", entry.created);
  detail::set_text(json, "created_by", entry.created_by);
  detail::set_text(json, "author", entry.author);
  detail::set_text(json, "comment", entry.comment);
  if (entry.empty_layer) json["empty_layer"] = true;
  return json;
}

/// Old writers have a text where a list belongs.
List read_list(const JsonObject& object, const char* member) {
  if (!object.has(member)) return std::nullopt;
  if (object.json().at(member).is_string()) return List({object.text(member)});
  return object.texts(member);
}

RunConfig read_run(const JsonObject& object) {
  return {.user = object.text_or_empty("User"),
          .exposed_ports = object.keys("ExposedPorts"),
          .env = object.texts("Env"),
          .entrypoint = read_list(object, "Entrypoint"),
          .cmd = read_list(object, "Cmd"),
          .volumes = object.keys("Volumes"),
          .working_dir = object.text_or_empty("WorkingDir"),
          .labels = object.map("Labels"),
          .stop_signal = object.text_or_empty("StopSignal")};
}

void set_list(OrderedJson& json, const char* member, const List& values) {
  values ? void(json[member] = *values) : void(json.erase(member));
}

/// Each member that isn't as it was before.
void write_run(const RunConfig& run, const RunConfig& before, OrderedJson& json) {
  if (run.user != before.user) detail::set_text(json, "User", run.user);
  if (run.exposed_ports != before.exposed_ports) detail::set_keys(json, "ExposedPorts", run.exposed_ports);
  if (run.env != before.env) detail::set_texts(json, "Env", run.env);
  if (run.entrypoint != before.entrypoint) set_list(json, "Entrypoint", run.entrypoint);
  if (run.cmd != before.cmd) set_list(json, "Cmd", run.cmd);
  if (run.volumes != before.volumes) detail::set_keys(json, "Volumes", run.volumes);
  if (run.working_dir != before.working_dir) detail::set_text(json, "WorkingDir", run.working_dir);
  if (run.labels != before.labels) detail::set_map(json, "Labels", run.labels);
  if (run.stop_signal != before.stop_signal) detail::set_text(json, "StopSignal", run.stop_signal);
}

OrderedJson& object_in(OrderedJson& json, const char* member) {
  OrderedJson& value = json[member];
  if (!value.is_object()) value = OrderedJson::object();
  return value;
}

}  // namespace

ImageConfig ImageConfig::parse(const Document& document) {
  const std::string subject = "the config " + document.digest.to_string();
  const OrderedJson json = detail::parse_object(document.bytes, subject);
  const JsonObject object(json, subject);
  if (!object.has("rootfs"))
    throw_error(errc::unsupported, "use", subject,
                "it has no 'rootfs': " + quoted(document.media_type) + " is no image's config",
                "artifacts can be copied, but have no layers to store");
  ImageConfig config;
  config.media_type = document.media_type;
  config.created = object.text_or_empty("created");
  config.author = object.text_or_empty("author");
  config.platform = detail::read_platform(object);
  if (object.has("config")) config.config = read_run(object.object("config"));
  const JsonObject rootfs = object.object("rootfs");
  if (rootfs.text("type") != "layers") rootfs.bad("type", "it isn't 'layers'");
  config.diff_ids = rootfs.digests("diff_ids");
  for (const JsonObject& entry : object.objects("history")) config.history.push_back(read_history(entry));
  config.origin = document.bytes;
  return config;
}

Document ImageConfig::document() const {
  const ImageConfig before = origin.empty() ? ImageConfig{} : parse(Document::of(origin, media_type));
  if (!origin.empty() && before == *this) return Document::of(origin, media_type);
  OrderedJson json = origin.empty() ? OrderedJson::object() : OrderedJson::parse(origin);
  if (created != before.created) detail::set_text(json, "created", created);
  if (author != before.author) detail::set_text(json, "author", author);
  if (origin.empty() || platform != before.platform) detail::write_platform(platform, json);
  if (config != before.config) write_run(config, before.config, object_in(json, "config"));
  if (origin.empty() || diff_ids != before.diff_ids) {
    OrderedJson& rootfs = object_in(json, "rootfs");
    rootfs["type"] = "layers";
    rootfs["diff_ids"] = OrderedJson::array();
    for (const Digest& digest : diff_ids) rootfs["diff_ids"].push_back(digest.to_string());
  }
  if (history != before.history) {
    OrderedJson list = OrderedJson::array();
    for (std::size_t i = 0; i < history.size(); ++i)
      list.push_back(i < before.history.size() && history[i] == before.history[i] ? json["history"][i]
                                                                                  : write_history(history[i]));
    json["history"] = std::move(list);
  }
  return Document::of(json.dump(), media_type);
}

std::vector<HistoryEntry> ImageConfig::history_of_layers() const {
  std::vector<HistoryEntry> entries;
  std::ranges::copy_if(history, std::back_inserter(entries),
                       [](const HistoryEntry& entry) { return !entry.empty_layer; });
  if (entries.size() != diff_ids.size()) entries.assign(diff_ids.size(), {});
  return entries;
}

}  // namespace strata
