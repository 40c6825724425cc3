// Layers whose files have other owners in the mount than on disk (idmapped mounts, Linux 5.12; as layers 5.19).
#pragma once

#include <strata/file_descriptor.hpp>
#include <strata/id_map.hpp>

#include <string_view>

namespace strata::detail {

/// Gives layers an id map: each as a detached mount of its own, which exists as long as something uses it.
class IdMapper {
 public:
  /// Makes a user namespace with that map, which is the form in which the kernel takes it. An empty map needs none.
  explicit IdMapper(const IdMap& ids);

  explicit operator bool() const { return static_cast<bool>(namespace_); }
  /// The directory `layer`, mapped. Throws Error that shows its name.
  FileDescriptor map(int layer, std::string_view shown) const;

 private:
  FileDescriptor namespace_;
};

}  // namespace strata::detail
