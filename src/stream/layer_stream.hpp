// A layer as it comes from outside: recognised, decompressed and digested on the way.
#pragma once

#include <strata/budget.hpp>
#include <strata/byte_stream.hpp>
#include <strata/compression.hpp>
#include <strata/digest.hpp>
#include <strata/hash.hpp>
#include <strata/progress.hpp>

#include "base/block.hpp"

#include <memory>
#include <optional>
#include <vector>

namespace strata::detail {

/// Gives the uncompressed tar of a layer. What is small is read in the caller's thread; anything else runs in stages
/// beside each other: reading and blob digest, decompression, diff id. Memory: a few MiB, whatever the layer's size.
class LayerStream final : public BlockSource {
 public:
  /// Bytes of the stream up to which a layer isn't worth starting threads for.
  static constexpr std::size_t small_layer = 256U << 10;

  /// Reads the first bytes at once. Throws errc::bad_archive where no codec recognises them. `source`, `codecs` and
  /// `control` outlive it. Of the budget, the tar's size and the ratio are looked at here.
  LayerStream(ByteSource& source, const HashPolicy& hash, const std::vector<CompressionPolicy>& codecs,
              const Control& control, const Budget& budget);
  ~LayerStream() override;

  Block next_block() override;
  std::string name() const override;
  /// Whether it is large enough for work in several threads to pay.
  bool threaded() const;

  /// Bytes taken from the source so far; any thread.
  std::uint64_t blob_bytes() const;
  /// How many there are in all, where the source knows.
  std::optional<std::uint64_t> blob_total() const;

  /// Complete once read() has returned 0.
  struct Result {
    Digest blob;
    Digest diff_id;
    std::uint64_t blob_size = 0;
    std::uint64_t tar_size = 0;
    std::uint64_t trailing_bytes = 0;  ///< behind the end of the compressed stream
    std::string codec;
    std::string media_type;
    bool compressed = false;
  };
  Result finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata::detail
