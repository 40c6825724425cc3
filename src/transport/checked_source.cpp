#include "transport/checked_source.hpp"

#include <strata/error.hpp>

#include "image/content_hash.hpp"

namespace strata::detail {

namespace {

constexpr std::uint64_t between_progress = 256U << 10;

}  // namespace

CheckedSource::CheckedSource(ByteSource& from, const Descriptor& blob, const Control& control)
    : from_(from), blob_(blob), control_(control), hash_(hash_like(blob.digest)) {}

void CheckedSource::mismatch(const std::string& what) const {
  throw_error(errc::digest_mismatch, "accept " + blob_.digest.to_string() + " from", from_.name(), what);
}

void CheckedSource::tell() const {
  if (control_.observer)
    control_.observer({.phase = Progress::Phase::writing, .bytes = bytes_, .total_bytes = blob_.size});
}

std::size_t CheckedSource::read(std::span<std::byte> into) {
  if (ended_) return 0;
  if (control_.stop.stop_requested()) throw_error(errc::cancelled, "read", from_.name());
  const std::size_t n = from_.read(into);
  bytes_ += n;
  if (bytes_ > blob_.size)
    mismatch("it has more than the " + std::to_string(blob_.size) + " bytes that it should have");
  if (n != 0) {
    hash_.update(into.first(n));
    if (bytes_ - told_ >= between_progress) {
      told_ = bytes_;
      tell();
    }
    return n;
  }
  ended_ = true;
  if (bytes_ != blob_.size)
    mismatch("it ends after " + std::to_string(bytes_) + " of " + std::to_string(blob_.size) + " bytes");
  if (const Digest digest = hash_.finish(); digest != blob_.digest)
    mismatch("the digest of what came is " + digest.to_string());
  tell();
  return 0;
}

}  // namespace strata::detail
