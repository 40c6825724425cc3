#include <strata/image_store.hpp>

#include <strata/error.hpp>
#include <strata/reference.hpp>

#include "store/images.hpp"
#include "store/tag.hpp"

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
    Image image{.digest = record.digest,
                .layer = record.layer,
                .manifest = detail::image_manifest(core, record),
                .config = detail::image_config(core, record),
                .index = record.index,
                .made = record.made,
                .added = record.added,
                .used = *used,
                .names = {}};
    for (const TagRecord& tag : tags)
      if (tag.image == record.digest) image.names.push_back(tag.name);
    return image;
  } catch (const Error& error) {
    if (error.code() != errc::not_found) throw;
    return std::nullopt;
  }
}

std::optional<Image> find_by_digest(const StoreCore& core, const Digest& digest) {
  const auto record = detail::find_image_record(core, digest);
  return record ? image_of(core, *record, detail::tag_records(core)) : std::nullopt;
}

std::optional<Image> find_by_name(const StoreCore& core, std::string_view name) {
  if (!is_tag_name(name)) return std::nullopt;
  const auto tag = detail::find_tag_record(core, name);
  return tag && tag->image ? find_by_digest(core, *tag->image) : std::nullopt;
}

std::optional<ImageReference> reference_of(std::string_view name) {
  try {
    return ImageReference::parse(name);
  } catch (const Error& error) {
    if (error.code() != errc::bad_argument) throw;
    return std::nullopt;
  }
}

/// By digits of the digest of a manifest or a config, or all of them.
std::optional<Image> find_by_digits(const StoreCore& core, std::string_view digits) {
  constexpr std::size_t fewest = 12;  // fewer may be a word
  const std::size_t colon = digits.find(':');
  const std::string_view algorithm = colon == std::string_view::npos ? "" : digits.substr(0, colon);
  if (colon != std::string_view::npos) digits.remove_prefix(colon + 1);
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (digits.size() < fewest || !std::ranges::all_of(digits, is_hex)) return std::nullopt;
  const auto fits = [&](const Digest& digest) {
    return (algorithm.empty() || digest.algorithm() == algorithm) && digest.hex().starts_with(digits);
  };
  std::vector<Digest> damaged;
  std::optional<ImageRecord> found;
  const auto take = [&](ImageRecord record) {
    if (found)
      throw_error(errc::bad_argument, "find the image", quoted(digits),
                  "several begin so: " + found->digest.to_string() + ", " + record.digest.to_string(),
                  "give more digits, or the digest of the manifest");
    found = std::move(record);
  };
  std::vector<ImageRecord> records = detail::image_records(core, damaged);
  for (const Digest& id : damaged)
    if (fits(id)) (void)detail::find_image_record(core, id);  // throws, saying how it is damaged
  for (ImageRecord& record : records)
    if (fits(record.digest)) take(std::move(record));
  if (!found)
    for (ImageRecord& record : records)
      if (fits(record.config)) take(std::move(record));
  return found ? image_of(core, *found, detail::tag_records(core)) : std::nullopt;
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

std::optional<Image> ImageStore::find(std::string_view name) const {
  if (auto image = find_by_name(*core_, name)) return image;
  if (const auto digest = Digest::try_parse(name))
    if (auto image = find_by_digest(*core_, *digest)) return image;
  if (const auto reference = reference_of(name))
    if (auto image = find_by_name(*core_, reference->to_string())) return image;
  return find_by_digits(*core_, name);
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

void ImageStore::tag(const Digest& image, std::string_view name) const { detail::tag_image(*core_, image, name); }
void ImageStore::touch(const Digest& image) const { detail::touch_image(*core_, image); }
std::vector<Digest> ImageStore::remove(const Digest& image, bool force) const {
  return detail::remove_image(*core_, image, force);
}

}  // namespace strata
