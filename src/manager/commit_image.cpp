#include <strata/error.hpp>
#include <strata/layer_manager.hpp>

#include "base/files.hpp"
#include "store/images.hpp"

#include <algorithm>
#include <utility>

namespace strata {

namespace {

/// A manifest and a config, of the image that a container stands on.
struct Parts {
  ImageManifest manifest;
  ImageConfig config;
};

/// Of several images with this layer the one that was used last.
std::optional<Parts> parts_of_image(const LayerStoreBase& store, const Digest& layer) {
  std::vector<Image> images = ImageStore(store).list();
  std::erase_if(images, [&](const Image& image) { return image.layer != layer; });
  const auto last = std::ranges::max_element(images, {}, &Image::used);
  if (last == images.end()) return std::nullopt;
  return Parts{ImageManifest::parse(last->manifest), ImageConfig::parse(last->config)};
}

/// An image of layers that nobody has said more of than the store knows.
Parts parts_of_layers(const LayerStoreBase& store, const Digest& top) {
  Parts parts;
  parts.config.platform = Platform::host();
  for (const Layer& layer : store.chain(top)) {
    parts.config.diff_ids.push_back(layer.diff_id());
    parts.config.history.push_back(
        {.created = layer.created, .created_by = {}, .author = layer.author, .comment = layer.comment});
    parts.manifest.layers.push_back(
        {.media_type = std::string(media_type::oci_layer), .digest = layer.diff_id(), .size = layer.tar_size});
  }
  return parts;
}

void add_layer(Parts& parts, const Layer& layer, const CommitImageOptions& options, const std::string& created) {
  ImageManifest& manifest = parts.manifest;
  ImageConfig& config = parts.config;
  const bool docker = manifest.media_type == media_type::docker_manifest;
  manifest.layers.push_back({.media_type = std::string(docker ? media_type::docker_layer : media_type::oci_layer),
                             .digest = layer.diff_id(),
                             .size = layer.tar_size});
  // What is said of the base isn't said of this one.
  manifest.subject.reset();
  manifest.artifact_type.clear();
  manifest.annotations.clear();
  // A history has an entry for each layer, or says nothing.
  if (config.history.empty()) config.history.resize(config.diff_ids.size());
  config.diff_ids.push_back(layer.diff_id());
  config.history.push_back(
      {.created = created, .created_by = options.created_by, .author = options.author, .comment = options.comment});
  config.created = created;
  if (!options.author.empty()) config.author = options.author;
}

}  // namespace

Image LayerManagerBase::commit(std::string_view container, const CommitImageOptions& options) {
  if (!options.name.empty()) check_tag_name(options.name);
  const auto found = store_.find_container(container);
  if (!found) throw_error(errc::not_found, "commit", quoted(container), "there is no container of this name");
  const std::string created = options.created.empty() ? detail::now_rfc3339() : options.created;
  const Lease lease = store_.lease();
  const Layer layer = store_.commit(*found, {.author = options.author,
                                             .comment = options.comment.empty() ? options.created_by : options.comment,
                                             .created = created,
                                             .lease = &lease,
                                             .tag = {},
                                             .control = options.control});
  auto base = parts_of_image(store_, found->layer);
  Parts parts = base ? *std::move(base) : parts_of_layers(store_, found->layer);
  add_layer(parts, layer, options, created);
  const std::vector<Digest> diff_ids = parts.config.diff_ids;
  if (options.change) options.change(parts.config);
  parts.config.diff_ids = diff_ids;
  const Document config = parts.config.document();
  parts.manifest.config = config.descriptor();
  const Image image = images().add(
      {.manifest = parts.manifest.document(), .config = config, .index = {}, .made = true, .name = options.name});
  (void)trim();
  return image;
}

}  // namespace strata
