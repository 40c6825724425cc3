// What is done to the images of a store; image_record.hpp has what they are.
#pragma once

#include <strata/verify.hpp>

#include "store/image_record.hpp"

#include <functional>
#include <span>
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

/// What is wrong with the record and the documents of an image, each by itself and beside the others; empty: nothing.
/// nullopt: there is no such image.
std::optional<std::string> fault_of_image(const StoreCore& core, const Digest& image);
struct ImageDocuments {
  Document manifest, config;
};
/// As they lie there, whatever the record says of them: the manifest by the image's digest, and the config by what the
/// manifest says. Throws errc::damaged.
ImageDocuments read_documents(const StoreCore& core, const Digest& image);
/// Makes the record of an image anew, of its documents. What isn't in these is as it was, where that can be read; else
/// it is an image that was pulled, of no index. Throws errc::not_found where a layer isn't there.
void mend_image_record(const StoreCore& core, const Digest& image, const ImageDocuments& documents);
/// Throws errc::not_found that names the first layer that isn't stored. After a crash: it is there, named, or without
/// its name, or not.
ImageRecord add_image(const StoreCore& core, const ImageDraft& image);
std::vector<ImageVerifyResult> verify_images(const StoreCore& core, std::span<const Digest> images,
                                             const VerifyOptions& options);
void tag_image(const StoreCore& core, const Digest& image, std::string_view name);
/// Takes out the image with its names, and what only it needs. ImageStore::remove() has the rest.
std::vector<Digest> remove_image(const StoreCore& core, const Digest& image, bool force);

}  // namespace strata::detail
