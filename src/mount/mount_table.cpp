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

}  // namespace

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
    next_field(line);  // its device
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
