// POSIX ACLs: the text of the PAX records SCHILY.acl.access and SCHILY.acl.default, and the binary value of the xattrs
// system.posix_acl_access and system.posix_acl_default (linux/posix_acl_xattr.h, version 2).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace strata::detail {

inline constexpr std::string_view acl_access_xattr = "system.posix_acl_access";
inline constexpr std::string_view acl_default_xattr = "system.posix_acl_default";

/// What names in an ACL's text can be resolved by, without the host's user database.
struct AclNames {
  std::string_view user_name;  ///< of the entry's owner
  std::uint64_t uid = 0;
  std::string_view group_name;
  std::uint64_t gid = 0;
};

/// Text to xattr value. Entries are split by ',' or newline; "user:NAME:rwx", "user:1000:rwx" and star's
/// "user:NAME:rwx:1000" are known, each tag also by its first letter. nullopt, with `why` set: malformed, or a name of
/// nobody known.
std::optional<std::string> acl_from_text(std::string_view text, const AclNames& names, std::string& why);
/// xattr value to text with numeric ids, which every reader understands; nullopt: not a valid value.
std::optional<std::string> acl_to_text(std::string_view value);
/// Another id for the user, or the group, that an entry of an ACL names; nullopt: the entry is to go.
using AclIds = std::function<std::optional<std::uint32_t>(bool group, std::uint32_t id)>;
/// The xattr value with other ids, its entries in the order that they had. What isn't a valid value stays as it is.
std::string acl_with_ids(std::string_view value, const AclIds& ids);
/// The nine permission bits of a file with this valid ACL: its group's are the mask, where there is one.
std::uint32_t acl_mode(std::string_view value);

}  // namespace strata::detail
