// The one registry whose names aren't its host's, as docker, containerd and podman have it built in.
#pragma once

#include <string>
#include <string_view>

namespace strata::detail {

inline constexpr std::string_view docker_hub = "docker.io";
/// A name of old for the same.
inline constexpr std::string_view docker_hub_index = "index.docker.io";
/// Where its API is.
inline constexpr std::string_view docker_hub_host = "registry-1.docker.io";
/// Under what docker keeps its credentials, and asks its helpers for them.
inline constexpr std::string_view docker_hub_key = "https://index.docker.io/v1/";

/// The host of a domain's API.
inline std::string api_host(const std::string& domain) {
  return domain == docker_hub ? std::string(docker_hub_host) : domain;
}

}  // namespace strata::detail
