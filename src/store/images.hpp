// What is done to the images of a store; image_record.hpp has what they are.
#pragma once

#include "store/image_record.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// An image on its way into the store.
struct ImageDraft {
  const Document& manifest;
  const Document& config;
  std::optional<Digest> index = {};
  bool made = false;
  std::string name = {};
  /// Puts its blobs in place; called in the moment in which the image comes to be, with the store's lock held shared.
  std::function<void()> place_blobs = {};
};

/// Throws errc::not_found that names the first layer that isn't stored. After a crash: it is there, named, or without
/// its name, or not.
ImageRecord add_image(const StoreCore& core, const ImageDraft& image);
void tag_image(const StoreCore& core, const Digest& image, std::string_view name);
/// Takes out the image with its names, and what only it needs. ImageStore::remove() has the rest.
std::vector<Digest> remove_image(const StoreCore& core, const Digest& image, bool force);

}  // namespace strata::detail
