// A blob on its way to a registry.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/hash.hpp>
#include <strata/image.hpp>
#include <strata/progress.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace strata::detail {

/// Reads a source as it is sent, and keeps the last of it for the case that it has to be sent again. Its last bytes are
/// given only once all of them were seen to be the blob's: a registry is never given the whole of something else.
class UploadSource final : public ByteSource {
 public:
  static constexpr std::size_t most_kept = 16U << 20;

  /// What is passed outlives it. The observer is told how far the source was read.
  UploadSource(const Descriptor& blob, ByteSource& source, const Control& control);

  /// Throws errc::digest_mismatch where the source isn't the blob, errc::cancelled, and what the source and the
  /// observer throw.
  std::size_t read(std::span<std::byte> into) override;
  /// Where the next byte that it gives stands in the blob.
  std::uint64_t position() const { return position_; }
  /// Goes on there; false where it no longer has that.
  bool go_to(std::uint64_t position);

 private:
  std::size_t read_source(std::span<std::byte> into);
  void take(std::span<const std::byte> bytes);
  void check_end();

  const Descriptor& blob_;
  ByteSource& source_;
  const Control& control_;
  AnyHash hash_;
  std::string kept_;        ///< what was read last, up to read_
  std::uint64_t read_ = 0;  ///< of the source
  std::uint64_t position_ = 0;
  bool checked_ = false;
};

}  // namespace strata::detail
