#include <strata/compression.hpp>
#include <strata/error.hpp>
#include <strata/reference.hpp>
#include <strata/transport/docker_archive.hpp>

#include "base/block.hpp"
#include "image/content_hash.hpp"
#include "stream/layer_stream.hpp"
#include "transport/archive_files.hpp"
#include "transport/docker_manifest.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace strata {

namespace {

using detail::DockerImage;
using detail::FileRange;

/// No image has more: overlays take some hundreds, docker 127.
constexpr std::size_t most_layers = 4096;

/// What buildkit calls docker's layers when they are compressed by zstd.
constexpr std::string_view docker_layer_zstd = "application/vnd.docker.image.rootfs.diff.tar.zstd";

}  // namespace

struct DockerArchiveSource::Impl {
  Impl(const boost::filesystem::path& file, const std::string& name)
      : asked(name), shown(quoted("docker-archive:" + file.native() + (name.empty() ? "" : ":" + name))), files(file) {
    std::vector<DockerImage> images;
    if (const auto manifest = files.find("manifest.json"))
      images = detail::parse_docker_manifest(read(*manifest, "manifest.json", {}), shown);
    else if (const auto repositories = files.find("repositories"))
      images = detail::parse_docker_repositories(read(*repositories, "repositories", {}), shown);
    else
      throw_error(errc::bad_archive, "read", shown,
                  "it is no docker archive: it has neither 'manifest.json' nor 'repositories'");
    image = detail::choose_docker_image(images, name, shown);
  }

  std::string name_of(const std::string& member) const { return quoted(member) + " of " + shown; }
  std::string read(const FileRange& range, const std::string& member, const std::stop_token& stop) const {
    return detail::read_range(range, Document::max_size, name_of(member), stop);
  }
  FileRange find(const std::string& member) const {
    auto found = files.find(member);
    if (!found) throw_error(errc::bad_archive, "read", shown, "it lacks " + quoted(member) + ", which it names");
    return *std::move(found);
  }

  /// The manifest that stands for what the archive has, made once.
  const Document& manifest(const std::stop_token& stop) {
    const std::lock_guard lock(mutex);
    if (made) return *made;
    if (image.config.empty())
      describe_old(stop);
    else
      config = Document::of(read(find(image.config), image.config, stop), media_type::docker_config);
    const std::vector<Digest> diff_ids = ImageConfig::parse(config).diff_ids;
    if (image.layers.size() > most_layers)
      throw_error(errc::limit_exceeded, "read", shown, "it has more than " + std::to_string(most_layers) + " layers");
    if (diff_ids.size() != image.layers.size())
      throw_error(errc::bad_archive, "read", shown,
                  "it has " + std::to_string(image.layers.size()) + " layers, and its config speaks of " +
                      std::to_string(diff_ids.size()));
    ImageManifest manifest{.media_type = std::string(media_type::docker_manifest), .config = config.descriptor()};
    for (std::size_t i = 0; i < diff_ids.size(); ++i)
      manifest.layers.push_back(describe(image.layers[i], diff_ids[i], stop));
    made = manifest.document();
    return *made;
  }

  /// A layer of the manifest: named by its diff id, unless it is compressed.
  Descriptor describe(const std::string& member, const Digest& diff_id, const std::stop_token& stop) {
    const FileRange range = find(member);
    Descriptor layer{.media_type = std::string(media_type::docker_layer), .digest = diff_id, .size = range.size};
    const std::string head = detail::read_head(range, recognition_size, name_of(member));
    const auto bytes = std::as_bytes(std::span(head.data(), head.size()));
    const bool gzip = Gzip::recognises(bytes);
    if (gzip || Zstd::recognises(bytes)) {
      layer.media_type = gzip ? media_type::docker_layer_gzip : docker_layer_zstd;
      const auto known = digests.find(range.offset);
      layer.digest = known != digests.end() ? known->second : digest_of(range, member, stop);
      digests.emplace(range.offset, layer.digest);
    }
    blobs.insert_or_assign(layer.digest, range);
    return layer;
  }

  Digest digest_of(const FileRange& range, const std::string& member, const std::stop_token& stop) const {
    detail::RangeSource source(range, name_of(member), stop);
    AnyHash hash = AnyHash::of<Sha256>();
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(256U << 10);
    while (const std::size_t n = source.read({buffer.get(), 256U << 10})) hash.update({buffer.get(), n});
    return hash.finish();
  }

  /// Of an archive of before docker 1.10: layers are a chain of parents, and no digest of them is told.
  void describe_old(const std::stop_token& stop) {
    std::vector<HistoryEntry> history;
    std::vector<Digest> diff_ids;
    std::string top;
    image.layers.clear();
    for (std::string id = image.id; !id.empty();) {
      const std::string member = id + "/json";
      const std::string text = read(find(member), member, stop);
      detail::DockerLayer layer = detail::parse_docker_layer(text, name_of(member));
      if (top.empty()) top = text;
      if (image.layers.size() == most_layers)
        throw_error(errc::limit_exceeded, "read", shown,
                    "its chain of parents is longer than " + std::to_string(most_layers));
      image.layers.push_back(id + "/layer.tar");
      history.push_back(std::move(layer.history));
      id = layer.parent;
    }
    std::ranges::reverse(image.layers);
    std::ranges::reverse(history);
    for (const std::string& layer : image.layers) diff_ids.push_back(diff_id_of(layer, stop));
    config = detail::make_docker_config(top, diff_ids, history, name_of(image.id + "/json"));
  }

  Digest diff_id_of(const std::string& member, const std::stop_token& stop) const {
    detail::RangeSource source(find(member), name_of(member), stop);
    const Control control{.stop = stop};
    const std::vector<CompressionPolicy> codecs = {CompressionPolicy::of<Gzip>(), CompressionPolicy::of<Zstd>(),
                                                   CompressionPolicy::of<Uncompressed>()};
    detail::LayerStream stream(source, HashPolicy::of<Sha256>(), codecs, control, Budget{});
    while (!stream.next_block().bytes.empty()) {
    }
    return stream.finish().diff_id;
  }

  std::string asked, shown;
  detail::ArchiveFiles files;
  DockerImage image;

  std::mutex mutex;  ///< of what follows, while it is made
  std::optional<Document> made;
  Document config;
  std::map<Digest, FileRange> blobs;
  std::map<std::uint64_t, Digest> digests;  ///< of compressed layers, by where they are: members may be links
};

DockerArchiveSource::DockerArchiveSource(const boost::filesystem::path& file, const std::string& name)
    : impl_(std::make_unique<Impl>(file, name)) {}
DockerArchiveSource::DockerArchiveSource(DockerArchiveSource&&) noexcept = default;
DockerArchiveSource& DockerArchiveSource::operator=(DockerArchiveSource&&) noexcept = default;
DockerArchiveSource::~DockerArchiveSource() = default;

std::string DockerArchiveSource::name() const { return impl_->shown; }

std::string DockerArchiveSource::image_name() const {
  const std::vector<std::string>& names = impl_->image.names;
  if (names.empty()) return {};
  try {
    return ImageReference::parse(impl_->asked.empty() || impl_->asked.front() == '@' ? names.front() : impl_->asked)
        .to_string();
  } catch (const Error& error) {
    if (error.code() != errc::bad_argument) throw;
    return {};
  }
}

Document DockerArchiveSource::top(const std::stop_token& stop) { return impl_->manifest(stop); }

Document DockerArchiveSource::document(const Descriptor& descriptor, const std::stop_token& stop) {
  const Document& manifest = impl_->manifest(stop);
  for (const Document* document : std::initializer_list<const Document*>{&manifest, &impl_->config})
    if (document->digest == descriptor.digest) return Document::checked(document->bytes, descriptor, name());
  throw_error(errc::not_found, "find " + descriptor.digest.to_string() + " in", name(), "it has no such document");
}

std::unique_ptr<ByteSource> DockerArchiveSource::open(const Descriptor& blob, std::uint64_t offset,
                                                      const std::stop_token& stop) {
  impl_->manifest(stop);
  const auto found = impl_->blobs.find(blob.digest);
  if (found == impl_->blobs.end())
    throw_error(errc::not_found, "find " + blob.digest.to_string() + " in", name(), "it has no such blob");
  return std::make_unique<detail::RangeSource>(found->second.from(offset), blob.digest.to_string() + " of " + name(),
                                               stop);
}

}  // namespace strata
