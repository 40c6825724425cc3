// Images by name, with the transports that skopeo has: "docker://debian:12", "oci:images:debian".
#pragma once

#include <strata/export.hpp>
#include <strata/layer_source.hpp>
#include <strata/transport/registry.hpp>

#include <boost/filesystem/path.hpp>

#include <string>
#include <string_view>

namespace strata {

struct TransportOptions {
  RegistryOptions registry = {};
  PushToRegistryOptions push = {};
};

/// What a name says, unopened.
struct STRATA_API ImageName {
  enum class Transport { docker, oci, oci_archive, docker_archive, strata };
  Transport transport = Transport::docker;
  boost::filesystem::path path = {};  ///< of all but docker
  std::string image = {};             ///< behind the path: tag, or name; of docker the reference

  /// "docker://REFERENCE", "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]", "docker-archive:FILE[:NAME]", "strata:ROOT:NAME";
  /// what names no transport is a reference. Throws errc::bad_argument that lists the transports.
  static ImageName parse(std::string_view text);
  std::string to_string() const;
};

/// What to read an image from.
STRATA_API AnySource open_source(const ImageName& name, const TransportOptions& options = {});
/// What to write one to. A store of strata is none: it pulls (layer_manager.hpp).
STRATA_API AnySink open_sink(const ImageName& name, const TransportOptions& options = {});

}  // namespace strata
