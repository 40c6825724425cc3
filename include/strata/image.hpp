// What an image is made of: index, manifest, config and the descriptors between them, of the OCI image spec 1.1 and of
// Docker's schema 2 (media types, "manifest v2 schema 2").
//
//   auto manifest = strata::ImageManifest::parse(document);
//   manifest.annotations["org.opencontainers.image.title"] = "web";
//   document = manifest.document();  // only what was changed is written anew
//
// Each of the three is read from a Document, and gives one back: as long as nothing was changed the same bytes, and
// after a change all members that strata doesn't know, in their places.
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

namespace media_type {
inline constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_config = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view oci_empty = "application/vnd.oci.empty.v1+json";
inline constexpr std::string_view oci_layer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view oci_layer_gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view oci_layer_zstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view docker_index = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_config = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view docker_layer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view docker_layer_gzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view docker_foreign_layer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
}  // namespace media_type

/// Whether it is that of an index, or of a manifest, of either kind.
STRATA_API bool is_index(std::string_view media_type) noexcept;
STRATA_API bool is_manifest(std::string_view media_type) noexcept;
/// Whether it is that of a layer: any tar, compressed or not, of either kind.
STRATA_API bool is_layer(std::string_view media_type) noexcept;

/// What a program in an image runs on (OCI image-index.md, "platform"; names are Go's GOOS and GOARCH).
struct STRATA_API Platform {
  std::string os = {};
  std::string architecture = {};
  std::string variant = {};
  std::string os_version = {};
  std::vector<std::string> os_features = {};

  /// That of this machine.
  static Platform host();
  /// "linux/arm64", "linux/arm/v7". Throws errc::bad_argument.
  static Platform parse(std::string_view text);
  std::string to_string() const;

  friend bool operator==(const Platform&, const Platform&) = default;
};

/// OCI descriptor.md.
struct Descriptor {
  std::string media_type = {};
  Digest digest = {};
  std::uint64_t size = 0;  ///< bytes
  std::vector<std::string> urls = {};
  std::map<std::string, std::string> annotations = {};
  std::string artifact_type = {};
  std::optional<Platform> platform = {};

  friend bool operator==(const Descriptor&, const Descriptor&) = default;
};

/// A JSON document as it is named by its digest.
struct STRATA_API Document {
  /// A registry need not take more (distribution-spec, "Pushing Manifests": 4 MiB).
  static constexpr std::uint64_t max_size = 4U << 20;
  static constexpr int max_depth = 100;

  std::string media_type;
  std::string bytes;
  Digest digest;

  /// sha256.
  static Document of(std::string bytes, std::string_view media_type);
  /// The bytes that `expected` names. Throws errc::digest_mismatch where they aren't these, `from` naming where they
  /// come from.
  static Document checked(std::string bytes, const Descriptor& expected, std::string_view from);
  Descriptor descriptor() const { return {.media_type = media_type, .digest = digest, .size = bytes.size()}; }

  friend bool operator==(const Document&, const Document&) = default;
};

/// Several manifests, mostly one for each platform.
struct STRATA_API ImageIndex {
  std::string media_type = std::string(media_type::oci_index);
  std::vector<Descriptor> manifests = {};
  std::optional<Descriptor> subject = {};
  std::string artifact_type = {};
  std::map<std::string, std::string> annotations = {};
  std::string origin = {};  ///< the bytes that it was read from; empty of a new one

  /// Throws errc::bad_archive that says which member is wrong, also for one that is too large or too deep.
  static ImageIndex parse(const Document& document);
  Document document() const;
  /// The manifest for that platform: the first of those that fit best. An empty member of `wanted` fits any; amd64 has
  /// no variant or v1, arm64 v8, and an arm of a lower variant fits too. One that names no platform fits where there is
  /// no other. Throws errc::not_found that lists those which are there.
  const Descriptor& choose(const Platform& wanted) const;

  friend bool operator==(const ImageIndex&, const ImageIndex&) = default;
};

/// One image.
struct STRATA_API ImageManifest {
  std::string media_type = std::string(media_type::oci_manifest);
  Descriptor config = {};
  std::vector<Descriptor> layers = {};  ///< base first
  std::optional<Descriptor> subject = {};
  std::string artifact_type = {};
  std::map<std::string, std::string> annotations = {};
  std::string origin = {};  ///< as of ImageIndex

  /// As of ImageIndex. Docker's schema 1 is errc::unsupported.
  static ImageManifest parse(const Document& document);
  Document document() const;

  friend bool operator==(const ImageManifest&, const ImageManifest&) = default;
};

/// How one layer, or a step that changed no file, came to be (OCI config.md, "history").
struct HistoryEntry {
  std::string created = {};  ///< RFC 3339
  std::string created_by = {};
  std::string author = {};
  std::string comment = {};
  bool empty_layer = false;

  friend bool operator==(const HistoryEntry&, const HistoryEntry&) = default;
};

/// How a container of the image is to be run (OCI config.md, "config").
struct RunConfig {
  std::string user = {};
  std::vector<std::string> exposed_ports = {};  ///< "80/tcp"; sorted
  std::vector<std::string> env = {};            ///< "NAME=VALUE"
  /// Unset: null, or absent; an empty list is one that clears what a base image has.
  std::optional<std::vector<std::string>> entrypoint = {};
  std::optional<std::vector<std::string>> cmd = {};
  std::vector<std::string> volumes = {};  ///< sorted
  std::string working_dir = {};
  std::map<std::string, std::string> labels = {};
  std::string stop_signal = {};

  friend bool operator==(const RunConfig&, const RunConfig&) = default;
};

/// The config of an image: what it runs on, and what its layers are.
struct STRATA_API ImageConfig {
  std::string media_type = std::string(media_type::oci_config);
  std::string created = {};  ///< RFC 3339
  std::string author = {};
  Platform platform = {};
  RunConfig config = {};
  std::vector<Digest> diff_ids = {};  ///< base first
  std::vector<HistoryEntry> history = {};
  std::string origin = {};  ///< as of ImageIndex

  /// As of ImageIndex. A config without `rootfs` (an artifact's) is errc::unsupported.
  static ImageConfig parse(const Document& document);
  Document document() const;
  /// For each layer the entry of the history that made it; those of an empty history, or of one that has another number
  /// of layers, are empty.
  std::vector<HistoryEntry> history_of_layers() const;

  friend bool operator==(const ImageConfig&, const ImageConfig&) = default;
};

/// Throws errc::bad_archive where a manifest and its config speak of different numbers of layers, of a layer that is
/// none (by its media type), or of two sizes of one blob; and errc::limit_exceeded where they have over 4,096 layers.
STRATA_API void check_image(const ImageManifest& manifest, const ImageConfig& config);

}  // namespace strata
