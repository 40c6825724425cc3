#include <strata/image_store.hpp>

#include <strata/error.hpp>
#include <strata/reference.hpp>

#include "store/images.hpp"
#include "store/tag.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <utility>

namespace strata {

namespace {

using detail::ImageRecord;
using detail::StoreCore;
using detail::TagRecord;

/// nullopt: it was removed meanwhile.
std::optional<Image> image_of(const StoreCore& core, const ImageRecord& record, const std::vector<TagRecord>& tags) {
  try {
    const auto used = detail::image_used(core, record.digest);
    if (!used) return std::nullopt;
    return Image{.digest = record.digest,
                 .layer = record.layer,
                 .manifest = detail::image_manifest(core, record),
                 .config = detail::image_config(core, record),
                 .index = record.index,
                 .made = record.made,
                 .added = record.added,
                 .used = *used,
                 .names = detail::names_of(record.digest, tags)};
  } catch (const Error& error) {
    if (error.code() != errc::not_found) throw;
    return std::nullopt;
  }
}

bool is_there(const StoreCore& core, const Digest& image) {
  return detail::try_stat(core.root_descriptor(), detail::image_path(image)).has_value();
}

std::optional<Digest> named(const StoreCore& core, std::string_view name) {
  if (!is_tag_name(name)) return std::nullopt;
  const auto tag = detail::find_tag_record(core, name);
  return tag && tag->image && is_there(core, *tag->image) ? tag->image : std::nullopt;
}

/// Whether an image is one that has this digest, or was chosen from an index that has.
bool has_digest(const StoreCore& core, const Digest& image, const Digest& digest) {
  if (image == digest) return true;
  try {
    const auto record = detail::find_image_record(core, image);
    return record && record->index == digest;
  } catch (const Error& error) {
    if (error.code() != errc::damaged) throw;
    return false;
  }
}

std::optional<ImageReference> reference_of(std::string_view name) {
  try {
    return ImageReference::parse(name);
  } catch (const Error& error) {
    if (error.code() != errc::bad_argument) throw;
    return std::nullopt;
  }
}

/// By digits of the digest of a manifest, or else of a config.
std::optional<Digest> begun(const StoreCore& core, std::string_view digits) {
  constexpr std::size_t fewest = 12;  // fewer may be a word
  const std::size_t colon = digits.find(':');
  const std::string_view algorithm = colon == std::string_view::npos ? "" : digits.substr(0, colon);
  if (colon != std::string_view::npos) digits.remove_prefix(colon + 1);
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (digits.size() < fewest || !std::ranges::all_of(digits, is_hex)) return std::nullopt;
  const auto fits = [&](const Digest& digest) {
    return (algorithm.empty() || digest.algorithm() == algorithm) && digest.hex().starts_with(digits);
  };
  std::optional<Digest> found;
  const auto take = [&](const Digest& image) {
    if (found)
      throw_error(errc::bad_argument, "find the image", quoted(digits),
                  "several begin so: " + found->to_string() + ", " + image.to_string(),
                  "give more digits, or the digest of the manifest");
    found = image;
  };
  for (const Digest& image : detail::image_ids(core))
    if (fits(image)) take(image);
  std::vector<Digest> damaged;
  if (!found)
    for (const ImageRecord& record : detail::image_records(core, damaged))
      if (fits(record.config)) take(record.digest);
  return found;
}

}  // namespace

ImageStore::ImageStore(const LayerStoreBase& store) : core_(store.core()) {}

Image ImageStore::add(const NewImage& image) const {
  const ImageRecord record = detail::add_image(*core_, {.manifest = image.manifest,
                                                        .config = image.config,
                                                        .index = image.index,
                                                        .made = image.made,
                                                        .name = image.name,
                                                        .place_blobs = {}});
  return get(record.digest.to_string());
}

std::optional<Digest> ImageStore::resolve(std::string_view name) const {
  // First, so that no name stands for another's digest.
  if (auto digest = Digest::try_parse(name); digest && is_there(*core_, *digest)) return digest;
  const auto reference = reference_of(name);
  const auto is_meant = [&](const std::optional<Digest>& image) {
    return image && (!reference || !reference->digest || has_digest(*core_, *image, *reference->digest));
  };
  if (auto image = named(*core_, name); is_meant(image)) return image;
  if (reference)
    if (auto image = named(*core_, reference->to_string()); is_meant(image)) return image;
  return begun(*core_, name);
}

std::optional<Image> ImageStore::find(std::string_view name) const {
  const auto digest = resolve(name);
  const auto record = digest ? detail::find_image_record(*core_, *digest) : std::nullopt;
  return record ? image_of(*core_, *record, detail::tag_records(*core_)) : std::nullopt;
}

Image ImageStore::get(std::string_view name) const {
  if (auto image = find(name)) return *std::move(image);
  throw_error(errc::not_found, "find the image", quoted(name),
              "the store " + quoted(core_->root().native()) + " has none of this name or digest");
}

std::vector<Image> ImageStore::list() const {
  std::vector<Image> images;
  const std::vector<TagRecord> tags = detail::tag_records(*core_);
  std::vector<Digest> damaged;
  for (const ImageRecord& record : detail::image_records(*core_, damaged)) {
    try {
      if (auto image = image_of(*core_, record, tags)) images.push_back(*std::move(image));
    } catch (const Error& error) {
      if (error.code() != errc::damaged) throw;
    }
  }
  std::ranges::stable_sort(images, [](const Image& one, const Image& other) {
    if (one.names.empty() || other.names.empty()) return !one.names.empty() && other.names.empty();
    return one.names.front() < other.names.front();
  });
  return images;
}

ImageVerifyResult ImageStore::verify(const Digest& image, const VerifyOptions& options) const {
  std::vector<ImageVerifyResult> results = verify(std::span(&image, 1), options);
  if (results.empty())
    throw_error(errc::not_found, "verify the image", image.to_string(), "there is none of this digest");
  return std::move(results.front());
}

std::vector<ImageVerifyResult> ImageStore::verify(std::span<const Digest> images, const VerifyOptions& options) const {
  return detail::verify_images(*core_, images, options);
}

std::vector<Digest> ImageStore::digests() const { return detail::image_ids(*core_); }

std::vector<std::string> ImageStore::names(const Digest& image) const {
  return detail::names_of(image, detail::tag_records(*core_));
}

void ImageStore::tag(const Digest& image, std::string_view name) const { detail::tag_image(*core_, image, name); }
void ImageStore::touch(const Digest& image) const { detail::touch_image(*core_, image); }
std::vector<Digest> ImageStore::remove(const Digest& image, bool force) const {
  return detail::remove_image(*core_, image, force);
}

}  // namespace strata
