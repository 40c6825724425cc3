#include "store/content_check.hpp"

#include <strata/error.hpp>
#include <strata/hash.hpp>

#include "sys.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

namespace strata::detail {

ContentCheck::ContentCheck(std::stop_token stop)
    : stop_(std::move(stop)), buffer_(std::make_unique_for_overwrite<std::byte[]>(buffer_size)) {}

template <class See>
bool ContentCheck::read(int fd, std::uint64_t from, std::uint64_t to, const std::string& path, See see) {
  while (from < to) {
    if (stop_.stop_requested()) throw_error(errc::cancelled, "read", quoted(path));
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(buffer_size, to - from));
    const ssize_t n = sys::pread(fd, buffer_.get(), want, static_cast<off_t>(from));
    if (n < 0) throw_errno(errno, "read", quoted(path));
    if (n == 0 || !see(std::span<const std::byte>(buffer_.get(), static_cast<std::size_t>(n)))) return false;
    from += static_cast<std::uint64_t>(n);
  }
  return true;
}

bool ContentCheck::matches(int fd, std::uint64_t size, const std::vector<SparseExtent>& extents,
                           const ContentChecksum& checksum, const std::string& path) {
  if (extents.empty() && size <= buffer_size) return matches(fd, static_cast<std::size_t>(size), checksum, path);
  Xxh3 hash;
  const auto digest = [&](std::span<const std::byte> bytes) {
    hash.update(bytes);
    return true;
  };
  if (extents.empty()) {
    if (!read(fd, 0, size, path, digest)) return false;
  } else {
    std::uint64_t at = 0;
    for (const SparseExtent& extent : extents) {
      if (!is_blank(fd, at, extent.offset, path)) return false;
      at = extent.offset + extent.size;
      if (!read(fd, extent.offset, at, path, digest)) return false;
    }
    if (!is_blank(fd, at, size, path)) return false;
  }
  std::byte found[Xxh3::digest_size];
  hash.finish(found);
  return std::ranges::equal(std::span(found).first(checksum.size()), checksum);
}

bool ContentCheck::matches(int fd, std::size_t size, const ContentChecksum& checksum, const std::string& path) {
  std::size_t filled = 0;
  while (filled < size) {
    if (stop_.stop_requested()) throw_error(errc::cancelled, "read", quoted(path));
    const ssize_t n = sys::pread(fd, buffer_.get() + filled, size - filled, static_cast<off_t>(filled));
    if (n < 0) throw_errno(errno, "read", quoted(path));
    if (n == 0) return false;
    filled += static_cast<std::size_t>(n);
  }
  XXH128_canonical_t found;
  XXH128_canonicalFromHash(&found, XXH3_128bits(buffer_.get(), size));
  return std::memcmp(found.digest, checksum.data(), checksum.size()) == 0;
}

bool ContentCheck::is_blank(int fd, std::uint64_t from, std::uint64_t to, const std::string& path) {
  const auto blank = [](std::span<const std::byte> bytes) {
    return std::ranges::all_of(bytes, [](std::byte one) { return one == std::byte{0}; });
  };
  while (from < to) {
    const off_t data = sys::lseek(fd, static_cast<off_t>(from), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return true;  // nothing but a hole up to its end
    // A filesystem that knows no holes has data everywhere.
    const std::uint64_t begin = data < 0 ? from : static_cast<std::uint64_t>(data);
    if (begin >= to) return true;
    const off_t hole = sys::lseek(fd, static_cast<off_t>(begin), SEEK_HOLE);
    from = hole < 0 ? to : std::min(to, static_cast<std::uint64_t>(hole));
    if (!read(fd, begin, from, path, blank)) return false;
  }
  return true;
}

}  // namespace strata::detail
