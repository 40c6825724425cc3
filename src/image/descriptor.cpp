#include "image/descriptor.hpp"

#include <algorithm>

namespace strata::detail {

Platform read_platform(const JsonObject& object) {
  return {.os = object.text_or_empty("os"),
          .architecture = object.text_or_empty("architecture"),
          .variant = object.text_or_empty("variant"),
          .os_version = object.text_or_empty("os.version"),
          .os_features = object.texts("os.features")};
}

void write_platform(const Platform& platform, OrderedJson& json) {
  json["architecture"] = platform.architecture;
  json["os"] = platform.os;
  set_text(json, "variant", platform.variant);
  set_text(json, "os.version", platform.os_version);
  set_texts(json, "os.features", platform.os_features);
}

Descriptor read_descriptor(const JsonObject& object) {
  Descriptor descriptor{.media_type = object.text("mediaType"),
                        .digest = object.digest("digest"),
                        .size = object.number("size"),
                        .urls = object.texts("urls"),
                        .annotations = object.map("annotations"),
                        .artifact_type = object.text_or_empty("artifactType")};
  if (object.has("platform")) descriptor.platform = read_platform(object.object("platform"));
  return descriptor;
}

OrderedJson write_descriptor(const Descriptor& descriptor) {
  OrderedJson json;
  json["mediaType"] = descriptor.media_type;
  json["digest"] = descriptor.digest.to_string();
  json["size"] = descriptor.size;
  set_texts(json, "urls", descriptor.urls);
  set_map(json, "annotations", descriptor.annotations);
  set_text(json, "artifactType", descriptor.artifact_type);
  if (descriptor.platform) write_platform(*descriptor.platform, json["platform"]);
  return json;
}

OrderedJson write_descriptors(const std::vector<Descriptor>& descriptors, const std::vector<Descriptor>& before,
                              const OrderedJson& json) {
  OrderedJson list = OrderedJson::array();
  for (const Descriptor& descriptor : descriptors) {
    const auto same = std::ranges::find(before, descriptor);
    list.push_back(same == before.end() ? write_descriptor(descriptor)
                                        : json.at(static_cast<std::size_t>(same - before.begin())));
  }
  return list;
}

}  // namespace strata::detail
