// The folder of a registry's certificates, as docker and podman have it.
#pragma once

#include <strata/transport/registry.hpp>

#include "registry/http.hpp"

#include <string>

namespace strata::detail {

/// Of options.certificates, or where that is empty of the folder that this registry ("localhost:5000") has. Throws
/// Error for one that can't be read, or has a certificate without its key.
Certificates find_certificates(const RegistryOptions& options, const std::string& registry);

}  // namespace strata::detail
