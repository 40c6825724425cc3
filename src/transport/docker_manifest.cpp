#include "transport/docker_manifest.hpp"

#include <strata/error.hpp>
#include <strata/reference.hpp>

#include "image/json.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace strata::detail {

namespace {

constexpr std::size_t most_images_shown = 20;

/// In full, so that "debian:12" finds "docker.io/library/debian:12"; a name that is no reference stays as it is.
std::string full_name(const std::string& name) {
  try {
    return ImageReference::parse(name).to_string();
  } catch (const Error&) {
    return name;
  }
}

std::string names_of(const std::vector<DockerImage>& images) {
  std::string text = "it has";
  std::size_t shown = 0;
  for (std::size_t i = 0; i < images.size(); ++i) {
    if (shown++ == most_images_shown) return text + " and more";
    text += " @" + std::to_string(i);
    if (!images[i].names.empty()) text += " (" + quoted(images[i].names.front()) + ")";
  }
  return images.empty() ? "it has no images" : text;
}

/// "@N".
std::optional<std::size_t> position_of(const std::string& name) {
  std::size_t number = 0;
  const char* const end = name.data() + name.size();
  if (name.size() < 2 || name[0] != '@') return std::nullopt;
  const auto [read_to, error] = std::from_chars(name.data() + 1, end, number);
  return error == std::errc() && read_to == end ? std::optional(number) : std::nullopt;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

std::vector<DockerImage> parse_docker_manifest(std::string_view text, const std::string& shown) {
  const std::string subject = "'manifest.json' of " + shown;
  // A list, where all other documents are objects.
  const OrderedJson json = parse_object(R"({"images":)" + std::string(text) + "}", subject);
  std::vector<DockerImage> images;
  for (const JsonObject& one : JsonObject(json, subject).objects("images")) {
    images.push_back({.names = one.texts("RepoTags"), .config = one.text("Config"), .layers = one.texts("Layers")});
    if (images.back().config.empty()) one.bad("Config", "it is empty");
  }
  return images;
}

std::vector<DockerImage> parse_docker_repositories(std::string_view text, const std::string& shown) {
  const std::string subject = "'repositories' of " + shown;
  const OrderedJson json = parse_object(text, subject);
  std::vector<DockerImage> images;
  for (const auto& [repository, tags] : json.items()) {
    if (!tags.is_object()) JsonObject(json, subject).bad(quoted(repository).c_str(), "it is no object");
    for (const auto& [tag, id] : tags.items()) {
      if (!id.is_string() || id.get_ref<const std::string&>().empty())
        JsonObject(json, subject).bad(quoted(repository).c_str(), "it has a tag that is no layer's id");
      const auto same = std::ranges::find(images, id.get_ref<const std::string&>(), &DockerImage::id);
      if (same == images.end())
        images.push_back({.names = {repository + ":" + tag}, .id = id.get<std::string>()});
      else
        same->names.push_back(repository + ":" + tag);
    }
  }
  return images;
}

std::string write_docker_manifest(const DockerImage& image) {
  OrderedJson json;
  json["Config"] = image.config;
  json["RepoTags"] = image.names;
  json["Layers"] = image.layers;
  return OrderedJson::array({std::move(json)}).dump();
}

const DockerImage& choose_docker_image(const std::vector<DockerImage>& images, const std::string& name,
                                       const std::string& shown) {
  const std::string operation = name.empty() ? "find an image in" : "find the image " + quoted(name) + " in";
  if (name.empty()) {
    if (images.size() == 1) return images.front();
    if (images.empty()) throw_error(errc::not_found, operation, shown, names_of(images));
    throw_error(errc::bad_argument, operation, shown, names_of(images), "say which, behind a ':'");
  }
  if (const auto position = position_of(name); position && *position < images.size()) return images[*position];
  for (const bool in_full : {false, true})
    for (const DockerImage& image : images)
      for (const std::string& own : image.names)
        if (in_full ? full_name(own) == full_name(name) : own == name) return image;
  throw_error(errc::not_found, operation, shown, names_of(images));
}

DockerLayer parse_docker_layer(std::string_view text, const std::string& shown) {
  const OrderedJson json = parse_object(text, shown);
  const JsonObject object(json, shown);
  DockerLayer layer{.parent = object.text_or_empty("parent"), .history = {}};
  layer.history.created = object.text_or_empty("created");
  layer.history.author = object.text_or_empty("author");
  layer.history.comment = object.text_or_empty("comment");
  if (object.has("container_config")) layer.history.created_by = joined(object.object("container_config").texts("Cmd"));
  return layer;
}

Document make_docker_config(std::string_view text, const std::vector<Digest>& diff_ids,
                            const std::vector<HistoryEntry>& history, const std::string& shown) {
  OrderedJson json = parse_object(text, shown);
  for (const char* of_the_layer : {"id", "parent", "Size", "parent_id", "layer_id", "throwaway"})
    json.erase(of_the_layer);
  json["rootfs"] = {{"type", "layers"}, {"diff_ids", OrderedJson::array()}};
  json.erase("history");
  ImageConfig config = ImageConfig::parse(Document::of(json.dump(), media_type::docker_config));
  config.diff_ids = diff_ids;
  config.history = history;
  return config.document();
}

}  // namespace strata::detail
