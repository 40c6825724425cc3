// A blob as it comes, over as many transfers as that takes.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/image.hpp>

#include "registry/registry.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace strata::detail {

/// From `offset` on. Gives descriptor.size - offset bytes or throws Error: errc::digest_mismatch where the place has
/// more, or fewer, and says so.
class BlobReader final : public ByteSource {
 public:
  BlobReader(std::shared_ptr<const Registry> registry, Descriptor blob, std::uint64_t offset, std::stop_token stop);

  std::size_t read(std::span<std::byte> into) override;
  std::optional<std::uint64_t> size() const override { return blob_.size - offset_; }
  std::string name() const override { return subject_; }
  /// Sends the request, so that what isn't there is known before anything is read.
  void open();

 private:
  void open_at_place();
  bool takes_up(HttpTransfer& answer);
  void read_over(std::uint64_t size);
  void check_length(const HttpTransfer& answer, std::uint64_t from) const;
  void broke(const Error& error);
  void next_place(const Error& error);
  void expect_end();

  std::shared_ptr<const Registry> registry_;
  Descriptor blob_;
  std::uint64_t offset_, position_;
  std::stop_token stop_;
  std::string subject_;
  std::size_t place_ = 0;
  bool ranges_ = true;  ///< whether this place continues where it is asked to
  std::unique_ptr<Retries> retries_;
  std::unique_ptr<HttpTransfer> transfer_;
};

}  // namespace strata::detail
