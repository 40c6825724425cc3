#include "tar/acl.hpp"

#include "tar/pax.hpp"

#include <strata/error.hpp>

#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <algorithm>
#include <array>
#include <limits>
#include <vector>

namespace strata::detail {
namespace {

struct Entry {
  std::uint16_t tag = 0;
  std::uint16_t permissions = 0;
  std::uint32_t id = static_cast<std::uint32_t>(ACL_UNDEFINED_ID);
};

/// Values are little-endian whatever the machine.
template <class Number>
void put(std::string& out, Number value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i) & 0xFFU);
}

template <class Number>
Number get(std::string_view bytes) {
  Number value = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) {
    value = static_cast<Number>(value | static_cast<Number>(static_cast<unsigned char>(bytes[i])) << (8 * i));
  }
  return value;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blank = " \t\r";
  const auto begin = text.find_first_not_of(blank);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

std::optional<std::uint32_t> parse_id(std::string_view text) {
  const auto number = parse_decimal(text);
  if (!number || *number >= std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
  return static_cast<std::uint32_t>(*number);
}

std::optional<std::uint16_t> parse_permissions(std::string_view text) {
  unsigned bits = 0;
  for (const char c : text) {
    if (c == 'r') {
      bits |= ACL_READ;
    } else if (c == 'w') {
      bits |= ACL_WRITE;
    } else if (c == 'x') {
      bits |= ACL_EXECUTE;
    } else if (c != '-') {
      return std::nullopt;
    }
  }
  return static_cast<std::uint16_t>(bits);
}

std::optional<std::uint32_t> known_id(std::string_view name, std::string_view owner, std::uint64_t owner_id) {
  if (const auto number = parse_id(name)) return number;
  if (name == owner && owner_id < std::numeric_limits<std::uint32_t>::max()) {
    return static_cast<std::uint32_t>(owner_id);
  }
  if (name == "root") return 0;
  return std::nullopt;
}

/// One entry of the text; nullopt with `why` set.
std::optional<Entry> parse_entry(std::string_view text, const AclNames& names, std::string& why) {
  std::array<std::string_view, 4> fields{};
  std::size_t count = 0;
  for (std::string_view rest = text;;) {
    if (count == fields.size()) break;
    const auto colon = rest.find(':');
    fields[count++] = trim(rest.substr(0, colon));
    if (colon == rest.npos) break;
    rest.remove_prefix(colon + 1);
  }
  const auto malformed = [&] {
    why = "its ACL has the malformed entry " + quoted(text);
    return std::nullopt;
  };
  auto [tag, name, mode, id] = fields;
  // Mask and other have no name; POSIX.1e's draft lets the empty field be left out.
  const bool nameless = tag == "mask" || tag == "m" || tag == "other" || tag == "o";
  if (nameless && count == 2) {
    mode = name;
    name = {};
    count = 3;
  }
  const auto permissions = parse_permissions(mode);
  if (count < 3 || !permissions || (nameless && !name.empty())) return malformed();
  Entry entry{.permissions = *permissions};
  if (tag == "mask" || tag == "m") {
    entry.tag = ACL_MASK;
  } else if (nameless) {
    entry.tag = ACL_OTHER;
  } else if (tag == "user" || tag == "u") {
    entry.tag = name.empty() ? ACL_USER_OBJ : ACL_USER;
  } else if (tag == "group" || tag == "g") {
    entry.tag = name.empty() ? ACL_GROUP_OBJ : ACL_GROUP;
  } else {
    return malformed();
  }
  if (entry.tag != ACL_USER && entry.tag != ACL_GROUP) return entry;
  auto found = parse_id(id);
  if (!found) {
    found = entry.tag == ACL_USER ? known_id(name, names.user_name, names.uid)
                                  : known_id(name, names.group_name, names.gid);
  }
  if (!found) {
    why = "its ACL names " + quoted(name) + ", whose number the archive doesn't tell";
    return std::nullopt;
  }
  entry.id = *found;
  return entry;
}

/// What posix_acl_valid() of the kernel asks: the three base entries once, and a mask where there are named ones.
bool is_complete(const std::vector<Entry>& entries) {
  const auto count = [&](int tag) {
    return std::count_if(entries.begin(), entries.end(), [tag](const Entry& entry) { return entry.tag == tag; });
  };
  const auto named = count(ACL_USER) + count(ACL_GROUP);
  const auto masks = count(ACL_MASK);
  return count(ACL_USER_OBJ) == 1 && count(ACL_GROUP_OBJ) == 1 && count(ACL_OTHER) == 1 && masks <= 1 &&
         (named == 0 || masks == 1);
}

}  // namespace

std::optional<std::string> acl_from_text(std::string_view text, const AclNames& names, std::string& why) {
  std::vector<Entry> entries;
  while (!text.empty()) {
    const auto end = text.find_first_of(",\n");
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    line = trim(line.substr(0, line.find('#')));  // GNU tar adds "#effective:r--"
    if (line.starts_with("default:")) line.remove_prefix(8);
    if (line.empty()) continue;
    const auto entry = parse_entry(line, names, why);
    if (!entry) return std::nullopt;
    entries.push_back(*entry);
  }
  if (!is_complete(entries)) {
    why = "its ACL lacks an entry, or has one twice";
    return std::nullopt;
  }
  // The kernel wants them by tag, which is by number but for the mask after the groups, as it happens.
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.tag != b.tag ? a.tag < b.tag : a.id < b.id; });
  std::string value;
  put<std::uint32_t>(value, POSIX_ACL_XATTR_VERSION);
  for (const Entry& entry : entries) {
    put(value, entry.tag);
    put(value, entry.permissions);
    put(value, entry.id);
  }
  return value;
}

std::optional<std::string> acl_to_text(std::string_view value) {
  if (value.size() < 4 || value.size() % 8 != 4 || get<std::uint32_t>(value) != POSIX_ACL_XATTR_VERSION) {
    return std::nullopt;
  }
  std::string text;
  for (value.remove_prefix(4); !value.empty(); value.remove_prefix(8)) {
    const auto tag = get<std::uint16_t>(value);
    const auto permissions = get<std::uint16_t>(value.substr(2));
    const auto id = get<std::uint32_t>(value.substr(4));
    if (!text.empty()) text += ',';
    switch (tag) {
      case ACL_USER_OBJ:
        text += "user::";
        break;
      case ACL_USER:
        text += "user:" + std::to_string(id) + ':';
        break;
      case ACL_GROUP_OBJ:
        text += "group::";
        break;
      case ACL_GROUP:
        text += "group:" + std::to_string(id) + ':';
        break;
      case ACL_MASK:
        text += "mask::";
        break;
      case ACL_OTHER:
        text += "other::";
        break;
      default:
        return std::nullopt;
    }
    text += (permissions & ACL_READ) != 0 ? 'r' : '-';
    text += (permissions & ACL_WRITE) != 0 ? 'w' : '-';
    text += (permissions & ACL_EXECUTE) != 0 ? 'x' : '-';
  }
  return text;
}

std::string acl_with_ids(std::string_view value, const AclIds& ids) {
  if (!acl_to_text(value)) return std::string(value);
  std::string mapped(value.substr(0, 4));
  for (value.remove_prefix(4); !value.empty(); value.remove_prefix(8)) {
    const auto tag = get<std::uint16_t>(value);
    std::optional<std::uint32_t> id = get<std::uint32_t>(value.substr(4));
    if (tag == ACL_USER || tag == ACL_GROUP) id = ids(tag == ACL_GROUP, *id);
    if (!id) continue;
    mapped += value.substr(0, 4);
    put(mapped, *id);
  }
  return mapped;
}

std::uint32_t acl_mode(std::string_view value) {
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint32_t other = 0;
  // The mask comes after the groups.
  for (value.remove_prefix(4); value.size() >= 8; value.remove_prefix(8)) {
    const std::uint32_t permissions = get<std::uint16_t>(value.substr(2)) & 07U;
    switch (get<std::uint16_t>(value)) {
      case ACL_USER_OBJ:
        user = permissions;
        break;
      case ACL_GROUP_OBJ:
      case ACL_MASK:
        group = permissions;
        break;
      case ACL_OTHER:
        other = permissions;
        break;
      default:
        break;
    }
  }
  return user << 6U | group << 3U | other;
}

}  // namespace strata::detail
