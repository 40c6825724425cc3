// A file's ids through an IdMap (A24): its owner, whom its ACLs name, and whose root may use its capabilities.
#pragma once

#include <strata/id_map.hpp>
#include <strata/tar.hpp>

#include "tree/attributes.hpp"

#include <string>

namespace strata::detail {

/// From a layer's ids to those of the host. Of one that has none, Error with errc::refused that names it and `path`;
/// with Owners::squash it is reported, and the owner becomes the caller; an ACL's entry, or all capabilities, are left
/// out.
void map_to_host(Attributes& attributes, const IdMap& ids, const std::string& path, const ObjectSetter& setter);

/// From the ids of a file on the disk to those that a layer has. Of one that has none, Error with errc::refused.
void map_to_layer(TarEntry& entry, const IdMap& ids);

}  // namespace strata::detail
