// The hash that a digest from outside asks for.
#pragma once

#include <strata/digest.hpp>
#include <strata/hash.hpp>

namespace strata::detail {

/// Of sha256 and sha512; another algorithm is errc::unsupported.
AnyHash hash_like(const Digest& digest);

}  // namespace strata::detail
