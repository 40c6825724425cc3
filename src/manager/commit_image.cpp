#include <strata/error.hpp>
#include <strata/layer_manager.hpp>

#include "base/files.hpp"
#include "manager/grown_image.hpp"

#include <algorithm>
#include <vector>

namespace strata {

namespace {

/// The image that the container was made for, else, of several with its layer, the one that was used last; of none,
/// what the store knows of the layers.
detail::GrownImage image_of(const LayerStoreBase& store, const Container& container) {
  std::vector<Image> images = ImageStore(store).list();
  std::erase_if(images, [&](const Image& image) { return image.layer != container.layer; });
  const auto its = container.image ? std::ranges::find(images, *container.image, &Image::digest) : images.end();
  if (its != images.end()) return detail::GrownImage(*its);
  const auto last = std::ranges::max_element(images, {}, &Image::used);
  if (last != images.end()) return detail::GrownImage(*last);
  detail::GrownImage image;
  for (const Layer& layer : store.chain(container.layer))
    image.add(layer, {.created = layer.created, .created_by = {}, .author = layer.author, .comment = layer.comment});
  return image;
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
  detail::GrownImage grown = image_of(store_, *found);
  grown.add(
      layer,
      {.created = created, .created_by = options.created_by, .author = options.author, .comment = options.comment});
  grown.date(created, options.author);
  if (options.change) grown.change(options.change);
  const Image image = images().add(grown.finish(options.name));
  (void)trim();
  return image;
}

}  // namespace strata
