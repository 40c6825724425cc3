// What is odd in a layer, without a store and without writing anything: the rules of apply, run over the entries.
#pragma once

#include <strata/budget.hpp>
#include <strata/byte_stream.hpp>
#include <strata/digest.hpp>
#include <strata/error.hpp>
#include <strata/export.hpp>
#include <strata/progress.hpp>
#include <strata/report.hpp>

#include <cstdint>
#include <optional>

namespace strata {

struct LintOptions {
  EndOfLayer end = EndOfLayer::proven;
  Budget budget = {};
  Control control = {};
};

struct LintResult {
  /// What is legal but odd: the rule, the path, and what Conformance::compat does about it. Conformance::strict refuses
  /// the layer for any of them.
  Report odd;
  /// What the layer must find in those below it, or takes from them: the rule, the path, and what. No fault of the
  /// layer; whether it is there, only a chain can tell. Whiteouts, which are there to hide something, aren't listed.
  Report needs;
  /// What makes the layer one that import and apply refuse whatever is below it: malformed, or over the budget. The
  /// first one ends the reading: `odd` has what came before, and all else is empty.
  std::optional<Error> error;

  Digest diff_id;  ///< sha256 of the uncompressed tar
  std::uint64_t tar_size = 0;
  std::uint64_t entries = 0;

  bool clean() const noexcept { return odd.empty() && !error; }
};

/// Reads a layer (tar, gzip or zstd) to its end and says what import and apply would say of it. The entries go through
/// the very code that builds trees, which here has no directory to build in: nothing is written, and what is said
/// doesn't depend on who asks, nor on a filesystem. So it isn't told what *this* user couldn't do (give an owner,
/// create a device) or a filesystem not hold (a time, an attribute). Costs reading and decompressing the stream once,
/// and the memory that its names take (Budget::memory). Throws Error where the stream can't be read, or was cancelled.
STRATA_API LintResult lint(ByteSource& source, const LintOptions& options = {});

}  // namespace strata
