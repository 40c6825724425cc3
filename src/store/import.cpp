#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include "base/files.hpp"
#include "store/core.hpp"
#include "store/layer_draft.hpp"
#include "store/layer_extract.hpp"

#include <cctype>

namespace strata::detail {

namespace {

/// RFC 3339, section 5.6, as far as digits and separators go.
void check_time(const std::string& text) {
  static constexpr std::string_view pattern = "dddd-dd-ddTdd:dd:dd";
  bool good = text.size() > pattern.size();
  for (std::size_t i = 0; good && i < pattern.size(); ++i)
    good = pattern[i] == 'd' ? std::isdigit(static_cast<unsigned char>(text[i])) != 0 : text[i] == pattern[i];
  std::string_view rest = good ? std::string_view(text).substr(pattern.size()) : "";
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    good = good && !rest.empty() && std::isdigit(static_cast<unsigned char>(rest.front())) != 0;
    while (!rest.empty() && std::isdigit(static_cast<unsigned char>(rest.front())) != 0) rest.remove_prefix(1);
  }
  const bool offset = rest.size() == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':';
  if (!good || !(rest == "Z" || offset))
    throw_error(errc::bad_argument, "use as the time of creation", quoted(text),
                "it isn't like 2024-01-31T12:00:00Z (RFC 3339)");
}

/// The same layer, or the same tree, is there by its declared diff id: the stream is only checked.
bool import_known(LayerDraft& draft, LayerStream& stream, const ImportOptions& options, bool& existed) {
  std::vector<std::byte> buffer(128U << 10);
  while (stream.read(buffer) != 0) {
  }
  const LayerStream::Result read = stream.finish();
  if (options.expected_blob && read.blob != *options.expected_blob)
    throw_error(errc::digest_mismatch, "accept", stream.name(), "its digest is " + read.blob.to_string());
  if (read.diff_id != *options.expected_diff_id)
    throw_error(errc::digest_mismatch, "accept", stream.name(), "its diff id is " + read.diff_id.to_string());
  draft.layer().tar_size = read.tar_size;
  draft.layer().media_type = read.media_type;
  draft.layer().blob = read.blob;
  draft.layer().blob_size = read.blob_size;
  return draft.publish_known(read.diff_id, options.control, existed);
}

bool may_be_known(const StoreCore& core, const ImportOptions& options) {
  if (!options.expected_diff_id) return false;
  if (core.find(chain_id(options.parent, *options.expected_diff_id))) return true;
  const FileDescriptor tree = try_open_beneath(
      core.root_descriptor(),
      "trees/" + std::string(options.expected_diff_id->algorithm()) + "/" + options.expected_diff_id->hex(),
      O_RDONLY | O_DIRECTORY);
  const auto record = tree ? find_tree_record(tree.get()) : std::nullopt;
  return record && record->self_contained;
}

}  // namespace

ImportedLayer import_layer(const StoreCore& core, ByteSource& source, const ImportOptions& options) {
  if (!options.created.empty()) check_time(options.created);
  sweep_drafts(core);
  ImportedLayer result;
  LayerDraft draft(core, options.parent, options.conformance, options.owners, options.budget, result.report);
  Layer& layer = draft.layer();
  layer.created = options.created.empty() ? now_rfc3339() : options.created;
  layer.author = options.author;
  layer.comment = options.comment;
  LayerStream stream(source, core.hash(), core.codecs(), options.control, options.budget);
  if (may_be_known(core, options)) {
    // What makes it known can be removed while the stream is read; then it must be given again.
    if (!import_known(draft, stream, options, result.existed))
      throw_error(errc::not_found, "store the layer", stream.name(), "the tree that it shares was removed meanwhile",
                  "import it again");
  } else {
    with_zero_umask([&](bool umask_is_zero) {
      draft.open(umask_is_zero, writers_for(stream));
      const ExtractOptions extract{options.conformance, options.end, options.expected_blob, options.expected_diff_id,
                                   options.budget};
      const LayerStream::Result read =
          extract_layer(stream, draft.builder(), &draft.recipe(), extract, options.control, result.report);
      layer.tar_size = read.tar_size;
      layer.media_type = read.media_type;
      layer.blob = read.blob;
      layer.blob_size = read.blob_size;
      result.existed = draft.publish(read.diff_id, options.control);
    });
  }
  static_cast<Layer&>(result) = core.get(layer.id);
  return result;
}

}  // namespace strata::detail
