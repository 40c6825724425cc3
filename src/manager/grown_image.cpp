#include "manager/grown_image.hpp"

#include <utility>
#include <vector>

namespace strata::detail {

GrownImage::GrownImage() { config_.platform = Platform::host(); }

GrownImage::GrownImage(const Image& base)
    : manifest_(ImageManifest::parse(base.manifest)), config_(ImageConfig::parse(base.config)) {
  // What is said of the base isn't said of this one.
  manifest_.subject.reset();
  manifest_.artifact_type.clear();
  manifest_.annotations.clear();
}

void GrownImage::add(const Layer& layer, HistoryEntry made_by) {
  // A history of another number of layers says of none what made it; each has to have its entry.
  const auto described = config_.history_of_layers();
  std::size_t entries = 0;
  for (const HistoryEntry& entry : config_.history) entries += entry.empty_layer ? 0 : 1;
  if (entries != config_.diff_ids.size()) config_.history = described;
  config_.history.push_back(std::move(made_by));
  config_.diff_ids.push_back(layer.diff_id());
  const bool docker = manifest_.media_type == media_type::docker_manifest;
  manifest_.layers.push_back({.media_type = std::string(docker ? media_type::docker_layer : media_type::oci_layer),
                              .digest = layer.diff_id(),
                              .size = layer.tar_size});
}

void GrownImage::date(const std::string& created, const std::string& author) {
  config_.created = created;
  if (!author.empty()) config_.author = author;
}

void GrownImage::change(const std::function<void(ImageConfig&)>& change) {
  std::vector<Digest> diff_ids = config_.diff_ids;
  change(config_);
  config_.diff_ids = std::move(diff_ids);
}

NewImage GrownImage::finish(const std::string& name) {
  NewImage image{.manifest = {}, .config = config_.document(), .made = true, .name = name};
  manifest_.config.media_type = image.config.media_type;
  manifest_.config.digest = image.config.digest;
  manifest_.config.size = image.config.bytes.size();
  image.manifest = manifest_.document();
  return image;
}

}  // namespace strata::detail
