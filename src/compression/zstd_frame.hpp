// A zstd frame of bytes that are all there.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace strata::detail {

/// One frame, with a checksum. `level`: 1 to 19.
std::vector<std::byte> zstd_frame(std::span<const std::byte> bytes, int level);

}  // namespace strata::detail
