// images/ALGORITHM/HEX/: an image, HEX of the digest of its manifest: `image.json`, and `manifest` and `config`, byte
// for byte. It is a draft until all three are there. When the image was used last is the directory's time.
#pragma once

#include <strata/digest.hpp>
#include <strata/image.hpp>

#include "store/core.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// image.json, and by whose name it is.
struct ImageRecord {
  Digest digest = {};  ///< of the manifest
  Digest layer = {};   ///< chain id of the topmost layer
  std::string manifest_type = {};
  std::string config_type = {};
  Digest config = {};
  std::optional<Digest> index = {};
  bool made = false;
  std::string added = {};
  std::vector<Digest> blobs = {};  ///< of its layers, as the manifest names them; the kept ones are the image's too
};
std::string to_json(const ImageRecord& record);
/// Throws errc::damaged.
ImageRecord image_record_from_json(std::string_view text);

std::string image_path(const Digest& image);  ///< beneath ROOT

/// nullopt: there is none. Throws errc::damaged.
std::optional<ImageRecord> find_image_record(const StoreCore& core, const Digest& image);
/// Of all images, sorted.
std::vector<Digest> image_ids(const StoreCore& core);
/// All but those that are damaged, whose names go to `damaged`.
std::vector<ImageRecord> image_records(const StoreCore& core, std::vector<Digest>& damaged);

/// `manifest` or `config`, which must have this digest. Throws errc::damaged; errc::not_found where there is no image.
std::string read_image_file(const StoreCore& core, const Digest& image, const char* name, const Digest& digest);
/// The bytes that the record names. Throws errc::damaged, errc::not_found.
Document image_manifest(const StoreCore& core, const ImageRecord& record);
Document image_config(const StoreCore& core, const ImageRecord& record);

/// When it was used last: a text whose order is that of the times, to the nanosecond. nullopt: it is gone.
std::optional<std::string> image_used(const StoreCore& core, const Digest& image);
void touch_image(const StoreCore& core, const Digest& image);
/// Whether it was used within so many seconds.
bool is_image_younger(const StoreCore& core, const Digest& image, std::chrono::seconds age);

/// The layers of an image, base first, by their chain ids.
std::vector<Digest> chain_ids(const std::vector<Digest>& diff_ids);

}  // namespace strata::detail
