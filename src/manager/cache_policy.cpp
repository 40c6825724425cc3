#include <strata/cache_policy.hpp>

#include <algorithm>

namespace strata {

std::vector<Digest> LeastRecentlyUsed::evict(std::span<const CachedImage> images, std::uint64_t bytes,
                                             std::uint64_t wanted) const {
  std::vector<Digest> gone;
  if (wanted > limit) return gone;  // there will never be room for it, and it may well be a lie
  const std::uint64_t room = limit - std::min(limit, wanted);
  for (const CachedImage& image : images) {
    if (bytes <= room) break;
    if (image.needed) continue;
    gone.push_back(image.image);
    bytes -= std::min(bytes, image.bytes);
  }
  return gone;
}

}  // namespace strata
