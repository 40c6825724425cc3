#include "store/image_record.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "base/record.hpp"
#include "image/content_hash.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace strata::detail {

namespace {

Document read_document(const StoreCore& core, const ImageRecord& record, const char* name, const Digest& digest,
                       const std::string& type) {
  return {.media_type = type, .bytes = read_image_file(core, record.digest, name, digest), .digest = digest};
}

}  // namespace

std::string read_image_file(const StoreCore& core, const Digest& image, const char* name, const Digest& digest) {
  const std::string path = image_path(image) + "/" + name;
  auto bytes = read_small_file(core.root_descriptor(), path, Document::max_size);
  if (!bytes) {
    if (!try_stat(core.root_descriptor(), image_path(image)))
      throw_error(errc::not_found, "read the image", image.to_string(), "it was removed meanwhile");
    // It may have gone and come again between the two looks.
    if (try_stat(core.root_descriptor(), path)) return read_image_file(core, image, name, digest);
    if (!try_stat(core.root_descriptor(), image_path(image)))
      throw_error(errc::not_found, "read the image", image.to_string(), "it was removed meanwhile");
    throw_error(errc::damaged, "read the image", image.to_string(), std::string("its ") + name + " is missing",
                "pull it again");
  }
  AnyHash hash = hash_like(digest);
  hash.update(std::as_bytes(std::span(bytes->data(), bytes->size())));
  if (hash.finish() != digest)
    throw_error(errc::damaged, "read the image", image.to_string(), std::string("its ") + name + " isn't what it was",
                "pull it again");
  return *std::move(bytes);
}

std::string to_json(const ImageRecord& record) {
  nlohmann::ordered_json json;
  json["layer"] = record.layer.to_string();
  json["manifest_type"] = record.manifest_type;
  json["config"] = record.config.to_string();
  json["config_type"] = record.config_type;
  if (record.index) json["index"] = record.index->to_string();
  json["made"] = record.made;
  json["added"] = record.added;
  json["blobs"] = nlohmann::ordered_json::array();
  for (const Digest& blob : record.blobs) json["blobs"].push_back(blob.to_string());
  return json.dump(1, '\t', false, nlohmann::json::error_handler_t::replace) + "\n";
}

ImageRecord image_record_from_json(std::string_view text) {
  const Record json(text, "read the record of", "an image");
  ImageRecord record;
  record.layer = json.digest("layer");
  record.manifest_type = json.text("manifest_type");
  record.config = json.digest("config");
  record.config_type = json.text("config_type");
  if (json.has("index")) record.index = json.digest("index");
  record.made = json.flag("made");
  record.added = json.text("added");
  record.blobs = json.digests("blobs");
  return record;
}

std::string image_path(const Digest& image) { return "images/" + std::string(image.algorithm()) + "/" + image.hex(); }

std::optional<ImageRecord> find_image_record(const StoreCore& core, const Digest& image) {
  const std::string directory = image_path(image);
  const auto text = read_small_file(core.root_descriptor(), directory + "/image.json");
  if (!text) {
    if (!try_stat(core.root_descriptor(), directory)) return std::nullopt;
    // It may have come between the two looks, as a whole.
    if (try_stat(core.root_descriptor(), directory + "/image.json")) return find_image_record(core, image);
    if (!try_stat(core.root_descriptor(), directory)) return std::nullopt;
    throw_error(errc::damaged, "read the record of the image", image.to_string(), "there is none",
                "pull it again, or remove it");
  }
  try {
    ImageRecord record = image_record_from_json(*text);
    record.digest = image;
    return record;
  } catch (const Error& error) {
    throw_error(errc::damaged, "read the record of the image", image.to_string(), error.detail(),
                "pull it again, or remove it");
  }
}

std::vector<Digest> image_ids(const StoreCore& core) {
  std::vector<Digest> ids;
  const FileDescriptor images = try_open_beneath(core.root_descriptor(), "images", O_RDONLY | O_DIRECTORY);
  if (!images) return ids;  // it is made for the first of them
  for (const DirectoryEntry& algorithm : list_directory(images.get(), "images"))
    if (const FileDescriptor room = try_open_beneath(images.get(), algorithm.name, O_RDONLY | O_DIRECTORY))
      for (const DirectoryEntry& entry : list_directory(room.get(), "images"))
        if (auto id = Digest::try_parse(algorithm.name + ":" + entry.name)) ids.push_back(*std::move(id));
  std::ranges::sort(ids);
  return ids;
}

std::vector<ImageRecord> image_records(const StoreCore& core, std::vector<Digest>& damaged) {
  std::vector<ImageRecord> records;
  for (const Digest& id : image_ids(core)) {
    try {
      if (auto record = find_image_record(core, id)) records.push_back(*std::move(record));
    } catch (const Error& error) {
      if (error.code() != errc::damaged) throw;
      damaged.push_back(id);
    }
  }
  return records;
}

Document image_manifest(const StoreCore& core, const ImageRecord& record) {
  return read_document(core, record, "manifest", record.digest, record.manifest_type);
}

Document image_config(const StoreCore& core, const ImageRecord& record) {
  return read_document(core, record, "config", record.config, record.config_type);
}

std::optional<std::string> image_used(const StoreCore& core, const Digest& image) {
  const auto found = try_stat(core.root_descriptor(), image_path(image));
  if (!found) return std::nullopt;
  std::string text = rfc3339(static_cast<std::time_t>(found->mtime.seconds));
  char fraction[16];
  std::snprintf(fraction, sizeof fraction, ".%09u", static_cast<unsigned>(found->mtime.nanoseconds));
  return text.insert(text.size() - 1, fraction);
}

/// By the finer clock: UTIME_NOW is that of the last tick, within which many images may be used.
void touch_image(const StoreCore& core, const Digest& image) {
  timespec now[2];
  ::clock_gettime(CLOCK_REALTIME, now);
  now[1] = now[0];
  if (sys::utimensat(core.root_descriptor(), image_path(image).c_str(), now, 0) == 0) return;
  if (errno == ENOENT) throw_error(errc::not_found, "use the image", image.to_string(), "it was removed meanwhile");
  throw_errno(errno, "note the use of the image", image.to_string());
}

bool is_image_younger(const StoreCore& core, const Digest& image, std::chrono::seconds age) {
  if (age.count() <= 0) return false;
  const auto found = try_stat(core.root_descriptor(), image_path(image));
  return found && found->mtime.seconds > std::time(nullptr) - age.count();
}

std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids) {
  std::vector<Digest> ids;
  for (const Digest& diff_id : diff_ids)
    ids.push_back(chain_id(ids.empty() ? std::nullopt : std::optional(ids.back()), diff_id));
  return ids;
}

}  // namespace strata::detail
