#include "registry/upload_source.hpp"

#include <strata/error.hpp>

#include "image/content_hash.hpp"
#include "registry/http.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace strata::detail {

UploadSource::UploadSource(const Descriptor& blob, ByteSource& source, const Control& control)
    : blob_(blob), source_(source), control_(control), hash_(hash_like(blob.digest)) {}

std::size_t UploadSource::read(std::span<std::byte> into) {
  if (control_.stop.stop_requested()) throw_error(errc::cancelled, "send", blob_.digest.to_string());
  if (position_ < read_) {
    const auto available = static_cast<std::size_t>(read_ - position_);
    const std::size_t size = std::min(available, into.size());
    std::memcpy(into.data(), kept_.data() + (kept_.size() - available), size);
    position_ += size;
    return size;
  }
  const std::uint64_t left = blob_.size - read_;
  if (left == 0) {
    check_end();
    return 0;
  }
  const std::size_t size =
      read_source(into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left))));
  if (size == 0)
    throw_error(
        errc::digest_mismatch, "send", blob_.digest.to_string(),
        source_.name() + " ended after " + std::to_string(read_) + " of " + std::to_string(blob_.size) + " bytes");
  take(into.first(size));
  if (read_ == blob_.size) check_end();
  position_ += size;
  return size;
}

/// What breaks off there is not this upload, which would be tried again.
std::size_t UploadSource::read_source(std::span<std::byte> into) try {
  return source_.read(into);
} catch (const BrokenTransfer& error) {
  throw Error(error);
}

void UploadSource::take(std::span<const std::byte> bytes) {
  hash_.update(bytes);
  read_ += bytes.size();
  // Twice as much may be held, so that it isn't moved with each block.
  if (kept_.size() + bytes.size() > 2 * most_kept) kept_.erase(0, kept_.size() - most_kept);
  kept_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (control_.observer)
    control_.observer({.phase = Progress::Phase::writing, .bytes = read_, .total_bytes = blob_.size});
  if (control_.stop.stop_requested()) throw_error(errc::cancelled, "send", blob_.digest.to_string());
}

void UploadSource::check_end() {
  if (checked_) return;
  std::array<std::byte, 1> more;
  if (read_source(more) != 0)
    throw_error(errc::digest_mismatch, "send", blob_.digest.to_string(),
                source_.name() + " has more than " + std::to_string(blob_.size) + " bytes");
  if (const Digest digest = hash_.finish(); digest != blob_.digest)
    throw_error(errc::digest_mismatch, "send", blob_.digest.to_string(),
                "the digest of " + source_.name() + " is " + digest.to_string());
  checked_ = true;
}

bool UploadSource::go_to(std::uint64_t position) {
  if (position > read_ || read_ - position > kept_.size()) return false;
  position_ = position;
  return true;
}

}  // namespace strata::detail
