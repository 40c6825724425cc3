// A blob on its way into a sink: nothing that gives one is trusted.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/hash.hpp>
#include <strata/image.hpp>
#include <strata/progress.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace strata::detail {

/// Gives what `from` gives, which must be the bytes that `blob` names: errc::digest_mismatch as soon as they are too
/// many, and at their end where they are too few or others. Tells the observer how many came, and throws
/// errc::cancelled. All that is handed over outlives it.
class CheckedSource final : public ByteSource {
 public:
  CheckedSource(ByteSource& from, const Descriptor& blob, const Control& control);
  std::size_t read(std::span<std::byte> into) override;
  std::optional<std::uint64_t> size() const override { return blob_.size; }
  std::string name() const override { return from_.name(); }

 private:
  [[noreturn]] void mismatch(const std::string& what) const;
  void tell() const;

  ByteSource& from_;
  const Descriptor& blob_;
  const Control& control_;
  AnyHash hash_;
  std::uint64_t bytes_ = 0;
  std::uint64_t told_ = 0;
  bool ended_ = false;
};

}  // namespace strata::detail
