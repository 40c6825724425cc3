#include <strata/error.hpp>
#include <strata/mount_plan.hpp>

#include "mount/host.hpp"
#include "mount/mount_table.hpp"
#include "mount/sys_mount.hpp"

#include <array>
#include <charconv>

namespace strata {
namespace detail {
namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }

/// Cuts the next field off; empty at the end of the line.
std::string_view next_field(std::string_view& line) {
  const auto end = std::min(line.find(' '), line.size());
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return field;
}

bool has_option(std::string_view options, std::string_view wanted) {
  while (!options.empty()) {
    const auto end = std::min(options.find(','), options.size());
    if (options.substr(0, end) == wanted) return true;
    options.remove_prefix(std::min(end + 1, options.size()));
  }
  return false;
}

/// A list of layers as the kernel shows it. Where a name holds ':', a list that was given to mount(2) has a backslash
/// before it, which is shown in octal; Linux 6.5 and 6.6 show the ':' itself in octal.
void add_list(OverlayLayers& layers, std::string_view shown) {
  std::string name;
  bool is_data = false;
  const auto end_name = [&] {
    if (!name.empty()) (is_data ? layers.data_only : layers.lowers).emplace_back(name);
    name.clear();
  };
  constexpr std::string_view backslash = "\\134";
  for (std::size_t i = 0; i < shown.size(); ++i) {
    if (shown[i] == ':') {
      const bool before_data = name.empty();  // the second of two
      end_name();
      is_data = before_data || is_data;
    } else if (shown.substr(i, 5) == "\\134:") {
      name += ':';
      i += backslash.size();
    } else if (shown.substr(i, 8) == "\\134\\134" || shown.substr(i, 8) == "\\134\\054") {
      name += unescape_octal(shown.substr(i + backslash.size(), backslash.size()));
      i += 2 * backslash.size() - 1;
    } else if (shown[i] == '\\') {
      name += unescape_octal(shown.substr(i, backslash.size()));
      i += backslash.size() - 1;
    } else {
      name += shown[i];
    }
  }
  end_name();
}

std::string without_backslashes(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain += text[i];
  }
  return plain;
}

}  // namespace

OverlayLayers overlay_layers(std::string_view options) {
  OverlayLayers layers;
  bool is_list = false;
  while (!options.empty()) {
    const std::string_view option = options.substr(0, options.find(','));
    options.remove_prefix(std::min(option.size() + 1, options.size()));
    const std::size_t equals = std::min(option.find('='), option.size());
    const std::string_view name = option.substr(0, equals);
    const std::string_view value = option.substr(std::min(equals + 1, option.size()));
    if (name == "lowerdir+") layers.lowers.emplace_back(unescape_octal(value));
    if (name == "datadir+") layers.data_only.emplace_back(unescape_octal(value));
    if (name == "upperdir") layers.upper = unescape_octal(value);
    if (name == "workdir") layers.work = unescape_octal(value);
    if (name != "lowerdir") continue;
    add_list(layers, value);
    is_list = true;
  }
  if (is_list)  // of mount(2), with its escapes in all names
    for (auto* const directory : {&layers.upper, &layers.work}) *directory = without_backslashes(directory->native());
  return layers;
}

std::string unescape_octal(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// "36 35 98:0 /root /target rw,noatime master:1 - ext3 /dev/root rw,errors=continue" (proc(5)); the optional fields
// before "-" are any number.
std::vector<MountedEntry> parse_mount_table(std::string_view text) {
  std::vector<MountedEntry> entries;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));

    MountedEntry entry;
    const auto id = next_field(line);
    if (std::from_chars(id.data(), id.data() + id.size(), entry.id).ec != std::errc()) continue;
    next_field(line);  // its parent
    entry.device = next_field(line);
    entry.root = unescape_octal(next_field(line));
    entry.target = unescape_octal(next_field(line));
    const auto mount_options = next_field(line);
    while (!line.empty() && next_field(line) != "-") {
    }
    entry.type = unescape_octal(next_field(line));
    entry.source = unescape_octal(next_field(line));
    entry.options = next_field(line);
    entry.read_only = has_option(mount_options, "ro") || has_option(entry.options, "ro");
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::optional<std::string_view> mount_option(std::string_view options, std::string_view name) {
  while (!options.empty()) {
    const auto end = std::min(options.find(','), options.size());
    const std::string_view option = options.substr(0, end);
    options.remove_prefix(std::min(end + 1, options.size()));
    const auto equals = std::min(option.find('='), option.size());
    if (option.substr(0, equals) == name) return option.substr(std::min(equals + 1, option.size()));
  }
  return std::nullopt;
}

std::optional<std::string> source_at(const boost::filesystem::path& target) {
  struct statx at {};
  if (sys::statx(AT_FDCWD, target.c_str(), AT_NO_AUTOMOUNT, sys::statx_unique_mount_id, at) != 0) return std::nullopt;
  if (!(at.stx_mask & sys::statx_unique_mount_id) || !(at.stx_attributes & STATX_ATTR_MOUNT_ROOT)) return std::nullopt;
  union {
    sys::MountStatus status;
    std::array<char, 4096> room;
  } answer{};
  if (sys::statmount(at.stx_mnt_id, sys::statmount_source, &answer, sizeof answer) != 0) return std::nullopt;
  if (!(answer.status.mask & sys::statmount_source)) return std::nullopt;
  return std::string(answer.room.data() + sizeof answer.status + answer.status.source);
}

}  // namespace detail

std::vector<MountedEntry> mount_table() {
  const char* const file = "/proc/thread-self/mountinfo";
  const auto text = detail::read_text(file);
  if (!text) throw_errno(errno, "read", file, {}, "mount /proc");
  return detail::parse_mount_table(*text);
}

}  // namespace strata
