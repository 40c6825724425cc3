// tags/NAME, '/' as %2F: a file with the id of a layer and, of an image's name, the image's.
#pragma once

#include <strata/tag.hpp>

#include "store/draft.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

struct TagRecord {
  std::string name;
  Digest layer;
  std::optional<Digest> image;  ///< whose topmost layer it is
};

/// Where it is, beneath ROOT.
std::string tag_path(std::string_view name);
/// Checks the layer and sets the tag, by rename.
void set_tag(const StoreCore& core, std::string_view name, const Digest& layer);
/// The same for a caller who holds the store's lock shared, and knows that the layer is there.
void place_tag(const StoreCore& core, const Draft& draft, std::string_view name, const Digest& layer,
               const std::optional<Digest>& image = {});
void remove_tag(const StoreCore& core, std::string_view name);
void sync_tags(const StoreCore& core);
/// Throws errc::damaged for one that can't be read.
std::vector<Tag> list_tags(const StoreCore& core);
std::vector<TagRecord> tag_records(const StoreCore& core);
/// The names among these that are an image's.
std::vector<std::string> names_of(const Digest& image, const std::vector<TagRecord>& tags);
std::optional<TagRecord> find_tag_record(const StoreCore& core, std::string_view name);
std::optional<Digest> find_tag(const StoreCore& core, std::string_view name);

}  // namespace strata::detail
