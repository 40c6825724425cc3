// All that there is to copy of an image.
#pragma once

#include <strata/image.hpp>
#include <strata/layer_source.hpp>

#include <optional>
#include <stop_token>
#include <vector>

namespace strata::detail {

struct ImagePlan {
  std::vector<Descriptor> blobs;    ///< layers, base first, each once; and what else is no document
  std::vector<Document> documents;  ///< each behind those that it names; the top is none of them
  Document top;
};

/// The top of a source, or where that is an index and a platform is given, of the image of that.
Document chosen_top(AnySource& from, const std::optional<Platform>& platform, const std::stop_token& stop);
/// Reads all documents that it names. What a stranger can have read is bounded: errc::limit_exceeded.
ImagePlan plan_image(AnySource& from, Document top, const std::stop_token& stop);

}  // namespace strata::detail
