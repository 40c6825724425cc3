// What a store takes on the disk, and what of it would be free without which image.
#pragma once

#include <strata/cache_policy.hpp>

#include "store/core.hpp"

#include <vector>

namespace strata::detail {

struct CacheState {
  std::vector<CachedImage> images;  ///< least recently used first
  std::uint64_t bytes = 0;
};

/// Walks a tree once, and notes beside it what it takes; everything else is small, or one file.
CacheState measure_cache(const StoreCore& core);

}  // namespace strata::detail
