// How the decoders say that a stream breaks its format.
#pragma once

#include <strata/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace strata::detail {

/// `what`: "the checksum of the member is wrong". `offset` in the compressed stream: where the broken part begins,
/// which is the same however the stream was divided and whichever library met the damage.
[[noreturn]] inline void throw_malformed(std::string_view format, std::string_view what, std::uint64_t offset) {
  throw_error(errc::bad_archive, "decompress", "the " + std::string(format) + " stream",
              std::string(what) + ", at offset " + std::to_string(offset));
}

}  // namespace strata::detail
