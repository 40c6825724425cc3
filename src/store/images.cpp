#include "store/images.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "base/resources.hpp"
#include "image/json.hpp"
#include "store/draft.hpp"
#include "store/operations.hpp"
#include "store/tag.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <exception>
#include <set>

namespace strata::detail {

namespace {

void sync_images(const StoreCore& core, const Digest& image) {
  const std::string room = "images/" + std::string(image.algorithm());
  core.sync(open_beneath(core.root_descriptor(), room, O_RDONLY | O_DIRECTORY).get(), room);
}

/// What the documents say, each of the other; errc::bad_archive, errc::digest_mismatch and errc::unsupported where
/// that is nonsense.
ImageRecord record_of(const StoreCore& core, const ImageDraft& image) {
  (void)Document::checked(image.manifest.bytes, image.manifest.descriptor(), "the manifest");
  const ImageManifest manifest = ImageManifest::parse(image.manifest);
  (void)Document::checked(image.config.bytes, manifest.config, "the config");
  const ImageConfig config = ImageConfig::parse(image.config);
  check_image(manifest, config);
  const std::string id = image.manifest.digest.to_string();
  if (config.diff_ids.empty())
    throw_error(errc::unsupported, "store the image", id, "it has no layers, and a root filesystem needs one");
  for (const Digest& diff_id : config.diff_ids)
    if (diff_id.algorithm() != core.hash().name)
      throw_error(errc::unsupported, "store the image", id,
                  "its layers are named by " + std::string(diff_id.algorithm()) + ", those of the store by " +
                      std::string(core.hash().name));
  ImageRecord record{.digest = image.manifest.digest,
                     .layer = chain_ids(config.diff_ids).back(),
                     .manifest_type = image.manifest.media_type,
                     .config_type = image.config.media_type,
                     .config = image.config.digest,
                     .index = image.index,
                     .made = image.made,
                     .added = rfc3339(std::time(nullptr)),
                     .blobs = {}};
  for (const Descriptor& layer : manifest.layers) record.blobs.push_back(layer.digest);
  return record;
}

void check_layers(const StoreCore& core, const ImageDraft& image) {
  for (const Digest& layer : chain_ids(ImageConfig::parse(image.config).diff_ids))
    if (!core.has(layer))
      throw_error(errc::not_found, "store the image", image.manifest.digest.to_string(),
                  "its layer " + layer.to_string() + " isn't stored", "import the layer first");
}

/// The kept blobs that were the image's alone. Those that its layers have go with the layers.
void take_blobs(const StoreCore& core, const Draft& draft, const ImageRecord& record) {
  std::vector<Digest> unreadable;
  std::set<Digest> needed;
  for (const ImageRecord& other : image_records(core, unreadable))
    needed.insert(other.blobs.begin(), other.blobs.end());
  for (const Layer& layer : core.list(&unreadable)) needed.insert(layer.blob);
  if (!unreadable.empty()) return;
  for (const Digest& blob : record.blobs)
    if (!needed.contains(blob)) draft.take(core.blob_path(blob), "blob." + blob.hex());
}

void check_containers(const StoreCore& core, const ImageRecord& record) {
  std::vector<Digest> unreadable;
  for (const ImageRecord& other : image_records(core, unreadable))
    if (other.layer == record.layer && other.digest != record.digest) return;
  for (const Container& container : core.containers())
    if (container.layer == record.layer)
      throw_error(errc::in_use, "remove the image", record.digest.to_string(),
                  "container " + quoted(container.name) + " stands on it", "remove the container first, or force it");
}

}  // namespace

std::optional<std::string> fault_of_image(const StoreCore& core, const Digest& image) {
  try {
    const auto record = find_image_record(core, image);
    if (!record) return std::nullopt;
    const Document manifest = image_manifest(core, *record), config = image_config(core, *record);
    const ImageRecord right = record_of(core, {.manifest = manifest, .config = config});
    const bool fits = right.layer == record->layer && right.blobs == record->blobs && right.config == record->config &&
                      ImageManifest::parse(manifest).config.media_type == record->config_type;
    return fits ? "" : "its record says something else than its manifest and config";
  } catch (const Error& error) {
    if (is_shortage(error.code())) throw;
    if (!try_stat(core.root_descriptor(), image_path(image))) return std::nullopt;  // it was removed meanwhile
    return error.what();
  }
}

ImageRecord add_image(const StoreCore& core, const ImageDraft& image) {
  if (!image.name.empty()) check_tag_name(image.name);
  const ImageRecord record = record_of(core, image);
  sweep_drafts(core);
  const Draft draft(core);
  make_directory(draft.descriptor(), "image");
  {
    const FileDescriptor dir = open_beneath(draft.descriptor(), "image", O_RDONLY | O_DIRECTORY);
    core.write_record(dir.get(), "manifest", image.manifest.bytes);
    core.write_record(dir.get(), "config", image.config.bytes);
    core.write_record(dir.get(), "image.json", to_json(record));
    core.sync(dir.get(), "the image");
  }
  make_directory(core.root_descriptor(), "images");
  make_directory(core.root_descriptor(), "images/" + std::string(record.digest.algorithm()));
  const Lock references = core.lock(Lock::Kind::shared);
  check_layers(core, image);
  if (image.place_blobs) image.place_blobs();
  const std::string place = image_path(record.digest);
  if (!draft.publish("image", place)) {
    // What is there may be damaged, or just gone.
    const auto fault = fault_of_image(core, record.digest);
    if (fault && !fault->empty()) draft.exchange("image", place);
  }
  touch_image(core, record.digest);
  core.sync(open_beneath(core.root_descriptor(), "images", O_RDONLY | O_DIRECTORY).get(), "images");
  sync_images(core, record.digest);
  if (!image.name.empty()) place_tag(core, draft, image.name, record.layer, record.digest);
  return record;
}

void tag_image(const StoreCore& core, const Digest& image, std::string_view name) {
  check_tag_name(name);
  const Draft draft(core);
  const Lock references = core.lock(Lock::Kind::shared);
  const auto record = find_image_record(core, image);
  if (!record) throw_error(errc::not_found, "tag the image", image.to_string(), "there is none of this digest");
  place_tag(core, draft, name, record->layer, image);
}

ImageDocuments read_documents(const StoreCore& core, const Digest& image) {
  const std::string id = image.to_string();
  ImageDocuments documents;
  Document& manifest = documents.manifest;
  manifest.digest = image;
  manifest.bytes = read_image_file(core, image, "manifest", image);
  // A manifest of OCI's need not say what it is.
  manifest.media_type = JsonObject(parse_object(manifest.bytes, id), id).text_or_empty("mediaType");
  if (manifest.media_type.empty()) manifest.media_type = media_type::oci_manifest;
  const Descriptor config = ImageManifest::parse(manifest).config;
  documents.config = {.media_type = config.media_type,
                      .bytes = read_image_file(core, image, "config", config.digest),
                      .digest = config.digest};
  return documents;
}

void mend_image_record(const StoreCore& core, const Digest& image, const ImageDocuments& documents) {
  std::optional<ImageRecord> before;
  try {
    before = find_image_record(core, image);
  } catch (const Error& error) {
    if (error.code() != errc::damaged) throw;
  }
  (void)add_image(core, {.manifest = documents.manifest,
                         .config = documents.config,
                         .index = before ? before->index : std::nullopt,
                         .made = before && before->made});
}

std::vector<Digest> remove_image(const StoreCore& core, const Digest& image, bool force) {
  sweep_drafts(core);
  std::vector<Digest> layers, removed;
  std::exception_ptr failure;
  const auto attempt = [&failure](const auto& work) {
    try {
      work();
    } catch (const Error&) {
      if (!failure) failure = std::current_exception();
    }
  };
  {
    const Draft draft(core);
    const Lock alone = core.lock(Lock::Kind::exclusive);
    std::optional<ImageRecord> record;
    try {
      record = find_image_record(core, image);
      if (!record) throw_error(errc::not_found, "remove the image", image.to_string(), "there is none of this digest");
      if (const auto top = core.find_undamaged(record->layer)) layers = chain_ids(top->diff_ids);
    } catch (const Error& error) {
      if (error.code() != errc::damaged) throw;  // then the record goes alone: gc finds what it was about
    }
    if (record && !force) check_containers(core, *record);
    const std::vector<std::string> names = names_of(image, tag_records(core));
    // This decides: what names it, and what only it needed, is garbage from now on.
    draft.take(image_path(image), "image");
    attempt([&] { sync_images(core, image); });
    for (std::size_t i = 0; i < names.size(); ++i)
      attempt([&] { draft.take(tag_path(names[i]), "tag." + std::to_string(i)); });
    if (!names.empty()) attempt([&] { sync_tags(core); });
    if (record) attempt([&] { take_blobs(core, draft, *record); });
  }
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    try {
      remove_layer(core, *layer);
      removed.push_back(*layer);
    } catch (const Error& error) {
      if (error.code() == errc::in_use) break;  // and with it those below
      if (error.code() != errc::not_found && error.code() != errc::damaged) throw;
    }
  }
  if (failure) std::rethrow_exception(failure);
  return removed;
}

}  // namespace strata::detail
