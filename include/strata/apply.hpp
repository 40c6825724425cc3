// Applying one layer to a directory, without a store: onto a plain root filesystem, or as the upper directory of an
// overlay. Both give the same filesystem (docs/semantics.md).
#pragma once

#include <strata/budget.hpp>
#include <strata/byte_stream.hpp>
#include <strata/compression.hpp>
#include <strata/digest.hpp>
#include <strata/export.hpp>
#include <strata/id_map.hpp>
#include <strata/layer_store.hpp>
#include <strata/progress.hpp>
#include <strata/report.hpp>
#include <strata/whiteout.hpp>

#include <boost/filesystem/path.hpp>

#include <optional>
#include <vector>

namespace strata {

struct ApplyOptions {
  std::optional<Digest> expected_blob = {};     ///< sha256 of the stream as it comes
  std::optional<Digest> expected_diff_id = {};  ///< sha256 of the uncompressed tar
  Conformance conformance = Conformance::compat;
  Owners owners = Owners::keep;
  IdMap ids = {};  ///< what the layer's ids are on the disk; those of files that are there already count as on the disk
  EndOfLayer end = EndOfLayer::any;
  Budget budget = {};  ///< what the layer may use; errc::limit_exceeded where that is not enough
  Control control = {};
};

struct ApplyResult {
  Digest diff_id;
  Digest blob;
  std::uint64_t tar_size = 0;
  std::uint64_t entries = 0;
  Report report;
};

/// Applies a layer to the plain directory `root`, as if unpacked over it: whiteouts delete. The layer is staged inside
/// `root`, checked to its end, and only then moved into place: bad input changes nothing. The move itself is not
/// atomic; an error or crash during it leaves a mixture, and the staging directory, which the next apply removes.
STRATA_API ApplyResult apply_flat(ByteSource& source, const boost::filesystem::path& root,
                                  const ApplyOptions& options = {});

/// Turns a layer into an upper directory: `upper`, empty, becomes what `overlay` stacks onto `lowers` (topmost first).
/// `form`: overlay_trusted or overlay_user; unset, the best that this process can write. Bad input changes nothing.
STRATA_API ApplyResult apply_overlay(ByteSource& source, const boost::filesystem::path& upper,
                                     const std::vector<boost::filesystem::path>& lowers,
                                     std::optional<UnionForm> form = {}, const ApplyOptions& options = {});

}  // namespace strata
