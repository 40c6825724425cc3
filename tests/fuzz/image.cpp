// Index, manifest and config of an image: each is refused, or written again as it was; and after a change it reads as
// it was changed.
#include "fuzz/fuzz.hpp"

#include <strata/image.hpp>

#include <optional>

using namespace strata;
using namespace strata::test;

namespace {

/// nullopt: refused.
template <class Kind>
std::optional<Kind> read(const Document& document) {
  std::optional<Kind> value;
  refusal_of({errc::bad_archive, errc::unsupported, errc::limit_exceeded}, [&] { value = Kind::parse(document); });
  if (value) require(value->document() == document, "it is written otherwise");
  return value;
}

template <class Kind>
void require_same(Kind changed) {
  const Document document = changed.document();
  Kind again = Kind::parse(document);
  require(again.document() == document, document.bytes);
  again.origin = changed.origin;
  require(again == changed, document.bytes);
}

const Descriptor more{.media_type = std::string(media_type::oci_layer),
                      .digest = Digest::parse("sha256:" + std::string(64, 'a')),
                      .size = 1};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const auto type : {media_type::oci_index, media_type::docker_index})
    if (auto index = read<ImageIndex>(Document::of(text, type))) {
      refusal_of({errc::not_found}, [&] { index->choose(Platform::parse("linux/arm64")); });
      index->manifests.insert(index->manifests.begin(), more);
      index->annotations["a"] = "b";
      require_same(*index);
    }
  for (const auto type : {media_type::oci_manifest, media_type::docker_manifest})
    if (auto manifest = read<ImageManifest>(Document::of(text, type))) {
      manifest->layers.push_back(more);
      manifest->annotations.clear();
      manifest->subject = more;
      require_same(*manifest);
    }
  if (auto config = read<ImageConfig>(Document::of(text, media_type::oci_config))) {
    require(config->history_of_layers().size() == config->diff_ids.size());
    config->diff_ids.push_back(more.digest);
    config->history.insert(config->history.begin(), {.created_by = "a"});
    config->config.cmd = {{"a"}};
    config->config.env.clear();
    require_same(*config);
  }
  return 0;
}
