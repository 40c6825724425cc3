#include "store/tag.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "base/names.hpp"
#include "tree/directory.hpp"

#include <algorithm>

namespace strata {

namespace {
constexpr std::size_t longest_name = 200;
constexpr std::size_t longest_file_name = 255;  // NAME_MAX
constexpr std::string_view slash = "%2F";       // as it is in a file's name
}  // namespace

bool is_tag_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > longest_name || !detail::is_letter_or_digit(name.front())) return false;
  std::size_t on_disk = 0;
  for (const char c : name) {
    if (!detail::is_letter_or_digit(c) && std::string_view("_.-:/@").find(c) == std::string_view::npos) return false;
    on_disk += c == '/' ? slash.size() : 1;
  }
  return on_disk <= longest_file_name;
}

void check_tag_name(std::string_view name) {
  if (!is_tag_name(name))
    throw_error(errc::bad_argument, "use", "the tag " + quoted(name), {},
                "a tag is 1 to 200 letters, digits and any of '_.-:/@', and begins with a letter or a digit");
}

}  // namespace strata

namespace strata::detail {

namespace {

constexpr std::string_view image_line = "image ";

FileDescriptor tags_directory(const StoreCore& core) {
  return try_open_beneath(core.root_descriptor(), "tags", O_RDONLY | O_DIRECTORY);
}

}  // namespace

std::string tag_path(std::string_view name) {
  std::string path = "tags/";
  for (const char c : name) c == '/' ? path += slash : path += c;
  return path;
}

void sync_tags(const StoreCore& core) { core.sync(tags_directory(core).get(), "tags"); }

void place_tag(const StoreCore& core, const Draft& draft, std::string_view name, const Digest& layer,
               const std::optional<Digest>& image) {
  make_directory(core.root_descriptor(), "tags");  // stores of earlier versions have none
  std::string text = layer.to_string() + "\n";
  if (image) text.append(image_line).append(image->to_string()) += '\n';
  core.write_record(draft.descriptor(), "tag", text);
  draft.replace("tag", tag_path(name));
  sync_tags(core);
}

void set_tag(const StoreCore& core, std::string_view name, const Digest& layer) {
  check_tag_name(name);
  const Draft draft(core);
  const Lock references = core.lock(Lock::Kind::shared);
  core.get(layer);
  place_tag(core, draft, name, layer);
}

void remove_tag(const StoreCore& core, std::string_view name) {
  check_tag_name(name);
  if (sys::unlinkat(core.root_descriptor(), tag_path(name).c_str(), 0) != 0) {
    if (errno == ENOENT) throw_error(errc::not_found, "remove the tag", quoted(name), "there is none");
    throw_errno(errno, "remove the tag", quoted(name));
  }
  sync_tags(core);
}

std::optional<TagRecord> find_tag_record(const StoreCore& core, std::string_view name) {
  check_tag_name(name);
  const auto text = read_small_file(core.root_descriptor(), tag_path(name));
  if (!text) return std::nullopt;
  const auto damaged = [&](const char* what) {
    throw_error(errc::damaged, "read the tag", quoted(name), what, "set it again, or remove it");
  };
  const std::size_t end = text->find('\n');
  auto layer = Digest::try_parse(std::string_view(*text).substr(0, end));
  if (!layer) damaged("it holds no id");
  TagRecord tag{.name = std::string(name), .layer = *std::move(layer), .image = {}};
  std::string_view rest = end == std::string::npos ? std::string_view() : std::string_view(*text).substr(end + 1);
  if (rest.starts_with(image_line)) {
    rest.remove_prefix(image_line.size());
    tag.image = Digest::try_parse(rest.substr(0, rest.find('\n')));
    if (!tag.image) damaged("it names no image");
  }
  return tag;
}

std::optional<Digest> find_tag(const StoreCore& core, std::string_view name) {
  auto tag = find_tag_record(core, name);
  return tag ? std::optional(std::move(tag->layer)) : std::nullopt;
}

std::vector<TagRecord> tag_records(const StoreCore& core) {
  std::vector<TagRecord> tags;
  const FileDescriptor dir = tags_directory(core);
  if (!dir) return tags;
  for (const DirectoryEntry& entry : list_directory(dir.get(), "tags")) {
    std::string name;
    for (std::string_view left = entry.name; !left.empty();) {
      const bool is_slash = left.starts_with(slash);
      name += is_slash ? '/' : left.front();
      left.remove_prefix(is_slash ? slash.size() : 1);
    }
    if (!is_tag_name(name)) continue;
    if (auto tag = find_tag_record(core, name)) tags.push_back(*std::move(tag));
  }
  std::ranges::sort(tags, {}, &TagRecord::name);
  return tags;
}

std::vector<std::string> names_of(const Digest& image, const std::vector<TagRecord>& tags) {
  std::vector<std::string> names;
  for (const TagRecord& tag : tags)
    if (tag.image == image) names.push_back(tag.name);
  return names;
}

std::vector<Tag> list_tags(const StoreCore& core) {
  std::vector<Tag> tags;
  for (TagRecord& tag : tag_records(core)) tags.push_back({std::move(tag.name), std::move(tag.layer)});
  return tags;
}

}  // namespace strata::detail
