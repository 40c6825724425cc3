// A layer's tar read into a tree: the loop that joins reader, builder and recipe.
#pragma once

#include <strata/layer_store.hpp>
#include <strata/progress.hpp>
#include <strata/report.hpp>

#include "stream/layer_stream.hpp"
#include "tree/builder.hpp"
#include "tree/recipe.hpp"

namespace strata::detail {

struct ExtractOptions {
  Conformance conformance = Conformance::compat;
  EndOfLayer end = EndOfLayer::proven;
  std::optional<Digest> expected_blob = {};
  std::optional<Digest> expected_diff_id = {};
  Budget budget = {};  ///< as the stream and the builder were given it
};

/// Reads `stream` to its end into `builder` (whose finish() it calls) and, if given, `recipe`. Checks what was expected
/// of the stream.
LayerStream::Result extract_layer(LayerStream& stream, TreeBuilder& builder, RecipeWriter* recipe,
                                  const ExtractOptions& options, const Control& control, Report& report);

/// How many threads are to make the files of such a stream beside the one that reads it (TreeBuilder).
unsigned writers_for(const LayerStream& stream);

/// What can be read without a store, whose policies may know more.
std::vector<CompressionPolicy> known_codecs();

/// Runs `work` in a thread of its own whose umask is zero, so that files get their modes when they are created. `work`
/// is told whether that could be had: a sandbox may forbid unshare(2). Exceptions come out here.
void with_zero_umask(const std::function<void(bool umask_is_zero)>& work);

}  // namespace strata::detail
