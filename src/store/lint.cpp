#include <strata/lint.hpp>

#include "store/layer_extract.hpp"

namespace strata {

LintResult lint(ByteSource& source, const LintOptions& options) {
  using namespace detail;
  LintResult result;
  try {
    const std::vector<CompressionPolicy> codecs = known_codecs();
    LayerStream stream(source, HashPolicy::of<Sha256>(), codecs, options.control, options.budget);
    BuilderOptions judging;
    judging.budget = options.budget;
    TreeBuilder builder(-1, -1, judging, result.odd);
    const ExtractOptions extract{Conformance::compat, options.end, {}, {}, options.budget};
    const LayerStream::Result read = extract_layer(stream, builder, nullptr, extract, options.control, result.odd);
    builder.needs(result.needs);
    result.diff_id = read.diff_id;
    result.tar_size = read.tar_size;
    result.entries = builder.entries();
  } catch (const Error& error) {
    if (error.code() != errc::bad_archive && error.code() != errc::limit_exceeded) throw;
    result.error = error;
  }
  return result;
}

}  // namespace strata
