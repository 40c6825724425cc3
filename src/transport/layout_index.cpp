#include "transport/layout_index.hpp"

#include <strata/error.hpp>

#include "image/descriptor.hpp"
#include "image/json.hpp"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace strata::detail {

namespace {

/// How docker and containerd call an image in full, where ref.name is but its tag.
constexpr const char* containerd_name = "io.containerd.image.name";
constexpr std::size_t most_names_shown = 20;
constexpr std::size_t longest_tag = 1024;

bool is_called(const Descriptor& image, const std::string& name) {
  const auto has = [&](const char* annotation) {
    const auto found = image.annotations.find(annotation);
    return found != image.annotations.end() && found->second == name;
  };
  return has(ref_name) || has(containerd_name);
}

/// What can be asked for, for a message.
std::string names_of(const std::vector<Descriptor>& images) {
  std::set<std::string> names;
  for (const Descriptor& image : images) {
    const auto found = image.annotations.find(ref_name);
    names.insert(found != image.annotations.end() ? quoted(found->second) : image.digest.to_string());
  }
  if (names.empty()) return "it has no images";
  std::string text = "it has";
  std::size_t shown = 0;
  for (const std::string& name : names) {
    if (shown++ == most_names_shown) return text + " and " + std::to_string(names.size() - most_names_shown) + " more";
    text += " " + name;
  }
  return text;
}

bool are_one_image(const std::vector<Descriptor>& images) {
  return std::ranges::all_of(images, [&](const Descriptor& image) { return image.digest == images.front().digest; });
}

/// Of each platform there is one. What buildkit adds of each (attestations) is for no platform: "unknown/unknown".
bool are_platforms(const std::vector<Descriptor>& images) {
  std::set<std::string> platforms;
  return std::ranges::all_of(images, [&](const Descriptor& image) {
    if (!image.platform || image.annotations.contains(ref_name)) return false;
    return image.platform->os == "unknown" || platforms.insert(image.platform->to_string()).second;
  });
}

bool is_named(const OrderedJson& entry, const std::string& tag) {
  return entry.is_object() && entry.contains("annotations") && entry["annotations"].is_object() &&
         entry["annotations"].contains(ref_name) && entry["annotations"][ref_name] == tag;
}

bool has_name(const OrderedJson& entry) {
  return entry.is_object() && entry.contains("annotations") && entry["annotations"].is_object() &&
         entry["annotations"].contains(ref_name);
}

bool is_of(const OrderedJson& entry, const Digest& digest) {
  return entry.is_object() && entry.contains("digest") && entry["digest"] == digest.to_string();
}

}  // namespace

std::string blob_path(const Digest& digest) { return "blobs/" + std::string(digest.algorithm()) + "/" + digest.hex(); }

void check_layout_version(std::string_view text, const std::string& shown) {
  const OrderedJson json = parse_object(text, "'oci-layout' of " + shown);
  const std::string version = JsonObject(json, "'oci-layout' of " + shown).text("imageLayoutVersion");
  if (version != "1.0.0")
    throw_error(errc::unsupported, "read", shown, "it is a layout of version " + quoted(version), "1.0.0 is known");
}

ImageIndex parse_layout_index(std::string text) {
  return ImageIndex::parse(Document::of(std::move(text), media_type::oci_index));
}

std::optional<Descriptor> choose_from_layout(const ImageIndex& index, const std::string& tag,
                                             const std::string& shown) {
  std::vector<Descriptor> all;
  for (const Descriptor& image : index.manifests)
    if (is_manifest(image.media_type) || is_index(image.media_type)) all.push_back(image);
  std::vector<Descriptor> meant = all;
  if (!tag.empty()) {
    const auto digest = Digest::try_parse(tag);
    std::erase_if(
        meant, [&](const Descriptor& image) { return !is_called(image, tag) && !(digest && image.digest == *digest); });
  }
  const std::string operation = tag.empty() ? "find an image in" : "find the image " + quoted(tag) + " in";
  if (meant.empty()) throw_error(errc::not_found, operation, shown, names_of(all));
  if (are_one_image(meant)) return meant.front();
  if (tag.empty() && are_platforms(meant)) return std::nullopt;
  throw_error(errc::bad_argument, operation, shown,
              (tag.empty() ? "" : std::to_string(meant.size()) + " images are called so: ") + names_of(meant),
              tag.empty() ? "say which, behind a ':'" : "name it by its digest");
}

std::string add_to_layout(std::string_view text, const Descriptor& image, const std::string& tag,
                          const std::string& shown) {
  if (text.empty()) text = R"({"schemaVersion":2,"manifests":[]})";
  OrderedJson json = parse_object(text, "'index.json' of " + shown);
  OrderedJson& images = json["manifests"];
  if (images.is_null()) images = OrderedJson::array();
  if (!images.is_array()) JsonObject(json, "'index.json' of " + shown).bad("manifests", "it is no list");
  bool listed = false;
  for (OrderedJson& entry : images) {
    const bool same = is_of(entry, image.digest);
    if (same && (tag.empty() || is_named(entry, tag))) {
      listed = true;
    } else if (!tag.empty() && is_named(entry, tag)) {
      entry["annotations"].erase(ref_name);
      if (entry["annotations"].empty()) entry.erase("annotations");
    }
  }
  const auto written = [&] {
    std::string whole = json.dump();
    if (whole.size() > Document::max_size)  // which nobody could read
      throw_error(errc::limit_exceeded, "add an image to", shown, "its index would be too large",
                  "begin another layout, or remove images that have no name");
    return whole;
  };
  if (listed) return written();
  const auto nameless = std::ranges::find_if(
      images, [&](const OrderedJson& entry) { return is_of(entry, image.digest) && !has_name(entry); });
  if (nameless != images.end()) {
    if (!(*nameless)["annotations"].is_object()) (*nameless)["annotations"] = OrderedJson::object();
    (*nameless)["annotations"][ref_name] = tag;
  } else {
    Descriptor named = image;
    if (!tag.empty()) named.annotations[ref_name] = tag;
    images.push_back(write_descriptor(named));
  }
  return written();
}

void check_layout_tag(const std::string& tag) {
  // component ("/" component)*, of letters and digits with one of "-._:@+", or "--", between them.
  const auto is_inner = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  const auto refuse = [&](const char* why) {
    throw_error(errc::bad_argument, "name an image of a layout", quoted(tag), why,
                "names are letters and digits with one of -._:@+/ between them");
  };
  if (tag.size() > longest_tag) refuse("it is longer than 1024 bytes");
  for (std::size_t i = 0; i < tag.size(); ++i) {
    if (is_inner(tag[i])) continue;
    if (std::string_view("-._:@+/").find(tag[i]) == std::string_view::npos) refuse("it has another character");
    const bool second = tag[i] == '-' && i >= 2 && tag[i - 1] == '-' && is_inner(tag[i - 2]);
    if (i == 0 || i + 1 == tag.size() || (!is_inner(tag[i - 1]) && !second))
      refuse("letters or digits are missing about a separator");
  }
}

}  // namespace strata::detail
