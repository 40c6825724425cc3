#include "tree/mapped_ids.hpp"

#include <strata/error.hpp>

#include "tar/acl.hpp"

#include <endian.h>
#include <linux/capability.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

namespace strata::detail {

namespace {

constexpr std::string_view capability_xattr = "security.capability";

/// One direction.
struct Mapper {
  using Lookup = std::function<std::optional<std::uint32_t>(std::uint64_t id)>;
  Lookup user;
  Lookup group;
  Lookup root;  ///< of capabilities
  /// Told of an id without a counterpart: what of the file it is, and which ("user 7"). May throw.
  std::function<void(const char* of, const std::string& id)> missing;
};

vfs_ns_cap_data parse_capabilities(std::string_view value) {
  vfs_ns_cap_data data{};
  std::memcpy(&data, value.data(), std::min(value.size(), sizeof data));
  return data;
}

/// The root whose processes may use these capabilities; nullopt: none of the forms that the kernel takes.
std::optional<std::uint32_t> capability_root(std::string_view value) {
  const vfs_ns_cap_data data = parse_capabilities(value);
  const std::uint32_t revision = le32toh(data.magic_etc) & VFS_CAP_REVISION_MASK;
  if (value.size() == XATTR_CAPS_SZ_2 && revision == VFS_CAP_REVISION_2) return 0;
  if (value.size() == XATTR_CAPS_SZ_3 && revision == VFS_CAP_REVISION_3) return le32toh(data.rootid);
  return std::nullopt;
}

/// The same capabilities for another root. Those of the first user namespace's root have no number with them, as the
/// kernel itself writes and shows them (capabilities(7), "Namespaced file capabilities").
std::string with_root(std::string_view value, std::uint32_t root) {
  vfs_ns_cap_data data = parse_capabilities(value);
  const std::uint32_t flags = le32toh(data.magic_etc) & ~static_cast<std::uint32_t>(VFS_CAP_REVISION_MASK);
  data.magic_etc = htole32(flags | (root == 0 ? VFS_CAP_REVISION_2 : VFS_CAP_REVISION_3));
  data.rootid = htole32(root);
  return std::string(reinterpret_cast<const char*>(&data), root == 0 ? XATTR_CAPS_SZ_2 : XATTR_CAPS_SZ_3);
}

/// nullopt: one of the two has no counterpart.
std::optional<std::pair<std::uint32_t, std::uint32_t>> map_owner(std::uint64_t uid, std::uint64_t gid,
                                                                 const Mapper& mapper) {
  const auto user = mapper.user(uid);
  const auto group = mapper.group(gid);
  if (!user) mapper.missing("owner", "user " + std::to_string(uid));
  if (!group) mapper.missing("owner", "group " + std::to_string(gid));
  if (!user || !group) return std::nullopt;
  return std::pair(*user, *group);
}

void map_xattrs(Xattrs& xattrs, const Mapper& mapper) {
  for (const std::string_view name : {acl_access_xattr, acl_default_xattr}) {
    const auto acl = xattrs.find(name);
    if (acl == xattrs.end()) continue;
    acl->second = acl_with_ids(acl->second, [&mapper](bool group, std::uint32_t id) {
      const auto mapped = group ? mapper.group(id) : mapper.user(id);
      if (!mapped) mapper.missing("ACL", (group ? "group " : "user ") + std::to_string(id));
      return mapped;
    });
  }
  const auto capabilities = xattrs.find(capability_xattr);
  if (capabilities == xattrs.end()) return;
  const auto root = capability_root(capabilities->second);
  if (!root) return;
  if (const auto mapped = mapper.root(*root)) {
    capabilities->second = with_root(capabilities->second, *mapped);
  } else {
    mapper.missing("capabilities", "user " + std::to_string(*root));
    xattrs.erase(capabilities);
  }
}

}  // namespace

void map_to_host(Attributes& attributes, const IdMap& ids, const std::string& path, const ObjectSetter& setter) {
  if (ids.empty()) return;
  const auto user = [&ids](std::uint64_t id) { return ids.uids.to_host(id); };
  const auto missing = [&](const char* of, const std::string& id) {
    const std::string what = "the id map gives no id of the host to " + id;
    if (setter.owners == Owners::keep)
      throw_error(errc::refused, std::string("map the ") + of + " of", quoted(path), what,
                  "give the map a range that has it, or squash owners");
    *setter.altered = true;
    const bool owner = of == std::string_view("owner");
    setter.report.add("A24", path,
                      what + (owner ? ": left to the caller" : std::string(" of its ") + of + ": left out"));
  };
  const Mapper mapper{user, [&ids](std::uint64_t id) { return ids.gids.to_host(id); }, user, missing};
  const auto owner = map_owner(attributes.uid, attributes.gid, mapper);
  attributes.uid = owner ? owner->first : setter.own_uid;
  attributes.gid = owner ? owner->second : setter.own_gid;
  map_xattrs(attributes.xattrs, mapper);
}

void map_to_layer(TarEntry& entry, const IdMap& ids) {
  if (ids.empty()) return;
  const auto user = [&ids](std::uint64_t id) { return ids.uids.to_container(id); };
  // Those of the host's root count in every user namespace, and look there as if they were its own root's.
  const auto root = [&user](std::uint64_t id) {
    const auto mapped = user(id);
    return id == 0 && !mapped ? std::optional<std::uint32_t>(0) : mapped;
  };
  const auto missing = [&entry](const char* of, const std::string& id) {
    throw_error(errc::refused, std::string("map the ") + of + " of", quoted(entry.path),
                "the id map gives no id of the container to " + id,
                "give the map a range that has it, or change the file");
  };
  const Mapper mapper{user, [&ids](std::uint64_t id) { return ids.gids.to_container(id); }, root, missing};
  std::tie(entry.uid, entry.gid) = map_owner(entry.uid, entry.gid, mapper).value();
  map_xattrs(entry.xattrs, mapper);
}

}  // namespace strata::detail
