// What a node's store, as a cache of registries, keeps: a policy that says which images go when there are too many.
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>

#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace strata {

/// An image, as a policy sees it.
struct CachedImage {
  Digest image;
  std::vector<std::string> names;
  std::string used;         ///< RFC 3339, UTC: texts in order are times in order
  std::uint64_t bytes = 0;  ///< on the disk, that would be free without it and those that were chosen before
  bool needed = false;      ///< by a container or a lease: choosing it has no effect
};

/// Decides what goes. `p.evict(images, bytes, wanted)` returns what is to be removed, first first: `images` are all
/// that there are, least recently used first; `bytes` is what the store takes on the disk, but for what containers
/// changed and backends keep; `wanted`, how much more is about to come, as far as that is known. The manager removes
/// them in this order, and asks again until nothing more is named. Before the first it does what LayerStore::gc() does.
template <typename P>
concept CachePolicy = requires(const P& p, std::span<const CachedImage> images, std::uint64_t bytes) {
  { p.evict(images, bytes, bytes) } -> std::same_as<std::vector<Digest>>;
};

/// Keeps everything.
struct KeepAll {
  std::vector<Digest> evict(std::span<const CachedImage>, std::uint64_t, std::uint64_t) const { return {}; }
};

/// Keeps the store below a number of bytes, as far as what isn't needed allows.
struct STRATA_API LeastRecentlyUsed {
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();
  std::vector<Digest> evict(std::span<const CachedImage> images, std::uint64_t bytes, std::uint64_t wanted) const;
};

static_assert(CachePolicy<KeepAll> && CachePolicy<LeastRecentlyUsed>);

}  // namespace strata
