#include <strata/error.hpp>
#include <strata/image.hpp>

#include "image/descriptor.hpp"
#include "image/json.hpp"

#include <map>
#include <string>
#include <utility>

namespace strata {

namespace {

using detail::JsonObject;
using detail::OrderedJson;

/// A document that is a manifest to one reader and an index to another is refused, as the image spec of 1.0.2 asks for
/// since such documents were used to deceive.
void check_kind(const JsonObject& object, const Document& document, bool (*is_kind)(std::string_view) noexcept,
                std::initializer_list<const char*> foreign) {
  if (!object.has("schemaVersion")) object.bad("schemaVersion", "it is missing");
  if (const std::uint64_t version = object.number("schemaVersion"); version != 2)
    throw_error(errc::unsupported, "read", document.digest.to_string(),
                "it is of schema version " + std::to_string(version),
                version == 1 ? "push the image again with a tool of this decade" : "");
  if (!is_kind(document.media_type))
    throw_error(errc::unsupported, "read", document.digest.to_string(),
                "its media type is " + quoted(document.media_type));
  if (object.has("mediaType") && object.text("mediaType") != document.media_type)
    object.bad("mediaType", quoted(object.text("mediaType")) + ", where " + quoted(document.media_type) + " is said");
  for (const char* member : foreign)
    if (object.has(member)) object.bad(member, "it belongs to another kind of document");
}

/// What an index and a manifest share.
template <class Kind>
void read_common(Kind& kind, const JsonObject& object, const Document& document) {
  kind.media_type = document.media_type;
  if (object.has("subject")) kind.subject = detail::read_descriptor(object.object("subject"));
  kind.artifact_type = object.text_or_empty("artifactType");
  kind.annotations = object.map("annotations");
  kind.origin = document.bytes;
}

template <class Kind>
void write_common(const Kind& kind, const Kind& before, OrderedJson& json) {
  if (kind.artifact_type != before.artifact_type) detail::set_text(json, "artifactType", kind.artifact_type);
  if (kind.subject != before.subject) {
    if (kind.subject)
      json["subject"] = detail::write_descriptor(*kind.subject);
    else
      json.erase("subject");
  }
  if (kind.annotations != before.annotations) detail::set_map(json, "annotations", kind.annotations);
}

/// The JSON that `origin` is, or that of a new document.
OrderedJson begin(const std::string& origin, const std::string& media_type, bool retyped) {
  OrderedJson json;
  if (!origin.empty()) {
    json = OrderedJson::parse(origin);
    if (retyped) json["mediaType"] = media_type;
    return json;
  }
  json["schemaVersion"] = 2;
  json["mediaType"] = media_type;
  return json;
}

/// What was read from `origin`: by what it says of itself, where it does.
template <class Kind>
Kind before_of(const Kind& kind) {
  if (kind.origin.empty()) return Kind{};
  const OrderedJson json = OrderedJson::parse(kind.origin);
  const auto named = json.find("mediaType");
  return Kind::parse(Document::of(
      kind.origin, named != json.end() && named->is_string() ? named->template get<std::string>() : kind.media_type));
}

}  // namespace

ImageIndex ImageIndex::parse(const Document& document) {
  const std::string subject = "the index " + document.digest.to_string();
  const OrderedJson json = detail::parse_object(document.bytes, subject);
  const JsonObject object(json, subject);
  check_kind(object, document, is_index, {"config", "layers", "fsLayers"});
  ImageIndex index;
  read_common(index, object, document);
  if (!object.has("manifests")) object.bad("manifests", "it is missing");
  for (const JsonObject& one : object.objects("manifests")) index.manifests.push_back(detail::read_descriptor(one));
  return index;
}

Document ImageIndex::document() const {
  const ImageIndex before = before_of(*this);
  if (!origin.empty() && before == *this) return Document::of(origin, media_type);
  OrderedJson json = begin(origin, media_type, before.media_type != media_type);
  if (origin.empty() || manifests != before.manifests)
    json["manifests"] = detail::write_descriptors(manifests, before.manifests, json["manifests"]);
  write_common(*this, before, json);
  return Document::of(json.dump(), media_type);
}

ImageManifest ImageManifest::parse(const Document& document) {
  const std::string subject = "the manifest " + document.digest.to_string();
  const OrderedJson json = detail::parse_object(document.bytes, subject);
  const JsonObject object(json, subject);
  check_kind(object, document, is_manifest, {"manifests", "fsLayers"});
  ImageManifest manifest;
  read_common(manifest, object, document);
  manifest.config = detail::read_descriptor(object.object("config"));
  for (const JsonObject& one : object.objects("layers")) manifest.layers.push_back(detail::read_descriptor(one));
  return manifest;
}

Document ImageManifest::document() const {
  const ImageManifest before = before_of(*this);
  if (!origin.empty() && before == *this) return Document::of(origin, media_type);
  OrderedJson json = begin(origin, media_type, before.media_type != media_type);
  if (origin.empty() || config != before.config) json["config"] = detail::write_descriptor(config);
  if (origin.empty() || layers != before.layers)
    json["layers"] = detail::write_descriptors(layers, before.layers, json["layers"]);
  write_common(*this, before, json);
  return Document::of(json.dump(), media_type);
}

void check_image(const ImageManifest& manifest, const ImageConfig& config) {
  const std::string subject = "the image of config " + manifest.config.digest.to_string();
  for (const Descriptor& layer : manifest.layers)
    if (!is_layer(layer.media_type))
      throw_error(errc::bad_archive, "use", subject,
                  "layer " + layer.digest.to_string() + " is of the media type " + quoted(layer.media_type));
  std::map<Digest, std::uint64_t> sizes{{manifest.config.digest, manifest.config.size}};
  for (const Descriptor& layer : manifest.layers)
    if (sizes.emplace(layer.digest, layer.size).first->second != layer.size)
      throw_error(errc::bad_archive, "use", subject, "it says two sizes of " + layer.digest.to_string());
  constexpr std::size_t most_layers = 4096;  // eight times what a kernel stacks
  if (manifest.layers.size() > most_layers)
    throw_error(
        errc::limit_exceeded, "use", subject,
        "it has " + std::to_string(manifest.layers.size()) + " layers, and may have " + std::to_string(most_layers));
  if (manifest.layers.size() != config.diff_ids.size())
    throw_error(errc::bad_archive, "use", subject,
                "the manifest lists " + std::to_string(manifest.layers.size()) + " layers, the config " +
                    std::to_string(config.diff_ids.size()));
}

}  // namespace strata
