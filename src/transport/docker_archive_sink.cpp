#include <strata/compression.hpp>
#include <strata/error.hpp>
#include <strata/reference.hpp>
#include <strata/transport/docker_archive.hpp>

#include "stream/layer_stream.hpp"
#include "transport/checked_source.hpp"
#include "transport/docker_manifest.hpp"
#include "transport/new_archive.hpp"

#include <map>
#include <utility>
#include <vector>

namespace strata {

namespace {

/// As docker and skopeo write it: in full, with a tag.
std::string repository_tag(const std::string& name) {
  if (name.empty()) return {};
  const ImageReference reference = ImageReference::parse(name);
  if (reference.digest)
    throw_error(errc::bad_argument, "name an image of a docker archive", quoted(name), "it has a digest",
                "leave that out: docker gives what it loads a tag");
  return reference.to_string();
}

void read_to_end(ByteSource& source) {
  NullSink nowhere;
  copy(source, nowhere);
}

}  // namespace

struct DockerArchiveSink::Impl {
  Impl(const boost::filesystem::path& file, const std::string& name)
      : tag(repository_tag(name)),
        shown(quoted("docker-archive:" + file.native() + (name.empty() ? "" : ":" + name))),
        archive(file) {}

  void put(const Descriptor& blob, ByteSource& source, const Control& control) {
    detail::CheckedSource checked(source, blob, control);
    if (layers.contains(blob.digest)) return read_to_end(checked);
    if (!is_layer(blob.media_type)) return keep(blob, checked);
    try {
      archive.add_unsized([&](ByteSink& to) {
        const std::vector<CompressionPolicy> codecs = {CompressionPolicy::of<Gzip>(), CompressionPolicy::of<Zstd>(),
                                                       CompressionPolicy::of<Uncompressed>()};
        detail::LayerStream stream(checked, HashPolicy::of<Sha256>(), codecs, control, Budget{});
        copy(stream, to);
        layers[blob.digest] = stream.finish().diff_id;
        return layer_name(layers[blob.digest]);
      });
    } catch (const Error& error) {
      layers.erase(blob.digest);
      // Other bytes than those that were meant may be no layer either; that they are others is the cause.
      if (error.code() == errc::bad_archive) read_to_end(checked);
      throw;
    }
  }

  /// A config that comes as a blob.
  void keep(const Descriptor& blob, ByteSource& source) {
    if (blob.size > Document::max_size)
      throw_error(errc::unsupported, "put " + blob.digest.to_string() + " into", shown,
                  "it is neither a layer nor a document");
    MemorySink text;
    copy(source, text);
    documents.insert_or_assign(blob.digest, Document::checked(text.take(), blob, shown));
  }

  void put(const Document& document) {
    refuse_index(document);
    documents.insert_or_assign(document.digest, Document::checked(document.bytes, document.descriptor(), shown));
  }

  void refuse_index(const Document& document) const {
    if (is_index(document.media_type))
      throw_error(errc::unsupported, "put an index into", shown, "docker archives have but images",
                  "name the platform whose image is meant");
  }

  void finish(const Document& top) {
    put(top);
    const ImageManifest manifest = ImageManifest::parse(top);
    const auto found = documents.find(manifest.config.digest);
    if (found == documents.end())
      throw_error(errc::not_found, "finish", shown, "its config " + manifest.config.digest.to_string() + " wasn't put");
    const ImageConfig config = ImageConfig::parse(found->second);
    check_image(manifest, config);
    detail::DockerImage image{.config = manifest.config.digest.hex() + ".json"};
    if (!tag.empty()) image.names.push_back(tag);
    for (std::size_t i = 0; i < manifest.layers.size(); ++i)
      image.layers.push_back(layer_name(checked_layer(manifest.layers[i], config.diff_ids[i])));
    archive.add(image.config, found->second.bytes);
    archive.add("manifest.json", detail::write_docker_manifest(image));
    archive.finish();
  }

  /// The diff id of a layer that was put, if it is what the config says.
  const Digest& checked_layer(const Descriptor& layer, const Digest& diff_id) const {
    const auto found = layers.find(layer.digest);
    if (found == layers.end())
      throw_error(layer.urls.empty() ? errc::not_found : errc::unsupported, "finish", shown,
                  "its layer " + layer.digest.to_string() + (layer.urls.empty() ? " wasn't put" : " is elsewhere"));
    if (found->second != diff_id)
      throw_error(
          errc::digest_mismatch, "accept " + layer.digest.to_string() + " into", shown,
          "the diff id of what came is " + found->second.to_string() + ", and the config says " + diff_id.to_string());
    return found->second;
  }

  static std::string layer_name(const Digest& diff_id) { return diff_id.hex() + ".tar"; }

  std::string tag;
  std::string shown;
  detail::NewArchive archive;
  std::map<Digest, Digest> layers;  ///< their diff ids
  std::map<Digest, Document> documents;
};

DockerArchiveSink::DockerArchiveSink(const boost::filesystem::path& file, const std::string& name)
    : impl_(std::make_unique<Impl>(file, name)) {}
DockerArchiveSink::DockerArchiveSink(DockerArchiveSink&&) noexcept = default;
DockerArchiveSink& DockerArchiveSink::operator=(DockerArchiveSink&&) noexcept = default;
DockerArchiveSink::~DockerArchiveSink() = default;

std::string DockerArchiveSink::name() const { return impl_->shown; }
bool DockerArchiveSink::has(const Descriptor& descriptor, const std::stop_token&) {
  return impl_->layers.contains(descriptor.digest) || impl_->documents.contains(descriptor.digest);
}
void DockerArchiveSink::put(const Descriptor& blob, ByteSource& source, const Control& control) {
  impl_->put(blob, source, control);
}
void DockerArchiveSink::put(const Document& document, const std::stop_token&) { impl_->put(document); }
void DockerArchiveSink::finish(const Document& top, const std::stop_token&) { impl_->finish(top); }

}  // namespace strata
