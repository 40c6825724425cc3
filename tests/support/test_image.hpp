// Small images for tests of sources and sinks, and such a source in memory, as a host may have one.
#pragma once

#include <strata/compression.hpp>
#include <strata/error.hpp>
#include <strata/hash.hpp>
#include <strata/image.hpp>
#include <strata/layer_source.hpp>

#include "support/bytes.hpp"
#include "support/layer_entries.hpp"

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace strata::test {

inline std::string gzipped(const std::string& text) {
  MemorySink sink;
  const auto encoder = compression_by_name("gzip").encode(sink);
  encoder->write(bytes_of(text));
  encoder->finish();
  return sink.take();
}

struct TestImage {
  Document top;
  std::vector<Document> documents;  ///< the others, each behind those that it names
  std::vector<Descriptor> layers;
  std::map<Digest, std::string> blobs;

  Descriptor add_blob(const std::string& bytes, std::string_view type) {
    const Descriptor blob{.media_type = std::string(type), .digest = digest_of<Sha256>(bytes), .size = bytes.size()};
    blobs[blob.digest] = bytes;
    layers.push_back(blob);
    return blob;
  }
};

/// As docker has it: plain tars, which all transports keep as they are.
inline TestImage docker_image(unsigned seed = 1, unsigned layers = 3) {
  TestImage image;
  ImageManifest manifest{.media_type = std::string(media_type::docker_manifest)};
  ImageConfig config{.media_type = std::string(media_type::docker_config), .platform = Platform::parse("linux/amd64")};
  for (unsigned i = 0; i < layers; ++i) {
    // The last is large enough to come in several blocks.
    const std::string tar = layer({file("f" + std::to_string(i), noise(i + 1 == layers ? 700'000 : 1'000, seed + i))});
    manifest.layers.push_back(image.add_blob(tar, media_type::docker_layer));
    config.diff_ids.push_back(manifest.layers.back().digest);
  }
  image.documents.push_back(config.document());
  manifest.config = image.documents.back().descriptor();
  image.top = manifest.document();
  return image;
}

/// As most registries have it: compressed layers, of one platform.
inline TestImage oci_image(unsigned seed = 1, const std::string& platform = "linux/amd64") {
  TestImage image;
  ImageManifest manifest;
  ImageConfig config{.platform = Platform::parse(platform)};
  for (unsigned i = 0; i < 2; ++i) {
    const std::string tar = layer({file("f" + std::to_string(i), noise(700'000 * i + 100, seed + i))});
    manifest.layers.push_back(image.add_blob(gzipped(tar), media_type::oci_layer_gzip));
    config.diff_ids.push_back(digest_of<Sha256>(tar));
  }
  image.documents.push_back(config.document());
  manifest.config = image.documents.back().descriptor();
  image.top = manifest.document();
  return image;
}

/// An index of two.
inline TestImage oci_index_image() {
  TestImage whole;
  ImageIndex index;
  unsigned seed = 1;
  for (const char* platform : {"linux/amd64", "linux/arm64"}) {
    const TestImage one = oci_image(seed += 10, platform);
    whole.documents.insert(whole.documents.end(), one.documents.begin(), one.documents.end());
    whole.documents.push_back(one.top);
    whole.blobs.insert(one.blobs.begin(), one.blobs.end());
    whole.layers.insert(whole.layers.end(), one.layers.begin(), one.layers.end());
    index.manifests.push_back(one.top.descriptor());
    index.manifests.back().platform = Platform::parse(platform);
  }
  whole.top = index.document();
  return whole;
}

/// Gives what it holds, and throws where the stop token asks for it.
class HeldSource final : public ByteSource {
 public:
  HeldSource(std::string text, std::stop_token stop) : text_(std::move(text)), stop_(std::move(stop)) {}
  std::size_t read(std::span<std::byte> into) override {
    if (stop_.stop_requested()) throw_error(errc::cancelled, "read", name());
    const std::size_t n = std::min(into.size(), text_.size() - at_);
    std::memcpy(into.data(), text_.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  std::string text_;
  std::stop_token stop_;
  std::size_t at_ = 0;
};

/// A host's own model of a source.
class ImageInMemory {
 public:
  static constexpr bool local = true;

  explicit ImageInMemory(TestImage image) : image_(std::move(image)) {}
  std::string name() const { return "an image in memory"; }
  Document top(const std::stop_token&) { return image_.top; }
  Document document(const Descriptor& descriptor, const std::stop_token&) {
    if (descriptor.digest == image_.top.digest) return image_.top;
    for (const Document& document : image_.documents)
      if (document.digest == descriptor.digest) return Document::checked(document.bytes, descriptor, name());
    throw_error(errc::not_found, "find " + descriptor.digest.to_string() + " in", name());
  }
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset, const std::stop_token& stop) {
    const auto found = image_.blobs.find(blob.digest);
    if (found == image_.blobs.end()) throw_error(errc::not_found, "find " + blob.digest.to_string() + " in", name());
    return std::make_unique<HeldSource>(found->second.substr(std::min<std::size_t>(offset, found->second.size())),
                                        stop);
  }

 private:
  TestImage image_;
};
static_assert(LayerSource<ImageInMemory>);

}  // namespace strata::test
