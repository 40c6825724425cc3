#include <strata/error.hpp>
#include <strata/hash.hpp>
#include <strata/image.hpp>

#include "image/content_hash.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace strata {

bool is_index(std::string_view type) noexcept {
  return type == media_type::oci_index || type == media_type::docker_index;
}

bool is_manifest(std::string_view type) noexcept {
  return type == media_type::oci_manifest || type == media_type::docker_manifest;
}

bool is_layer(std::string_view type) noexcept {
  // The last three are deprecated, and still in use: layers that may not be pushed elsewhere.
  static constexpr std::array<std::string_view, 9> types = {
      media_type::oci_layer,
      media_type::oci_layer_gzip,
      media_type::oci_layer_zstd,
      media_type::docker_layer,
      media_type::docker_layer_gzip,
      media_type::docker_foreign_layer,
      "application/vnd.oci.image.layer.nondistributable.v1.tar",
      "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
      "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
  };
  // Docker's own type with zstd, which buildkit writes and nobody specified.
  return std::ranges::find(types, type) != types.end() || type == "application/vnd.docker.image.rootfs.diff.tar.zstd";
}

Document Document::of(std::string bytes, std::string_view media_type) {
  const Digest digest = digest_of<Sha256>(std::string_view(bytes));
  return {.media_type = std::string(media_type), .bytes = std::move(bytes), .digest = digest};
}

Document Document::checked(std::string bytes, const Descriptor& expected, std::string_view from) {
  AnyHash hash = detail::hash_like(expected.digest);
  hash.update(std::as_bytes(std::span(bytes.data(), bytes.size())));
  const Digest digest = hash.finish();
  if (digest != expected.digest)
    throw_error(errc::digest_mismatch, "accept " + expected.digest.to_string() + " from", std::string(from),
                "the digest of what came is " + digest.to_string());
  if (bytes.size() != expected.size)
    throw_error(
        errc::digest_mismatch, "accept " + expected.digest.to_string() + " from", std::string(from),
        "it has " + std::to_string(bytes.size()) + " bytes, and is said to have " + std::to_string(expected.size));
  return {.media_type = expected.media_type, .bytes = std::move(bytes), .digest = digest};
}

}  // namespace strata

namespace strata::detail {

AnyHash hash_like(const Digest& digest) {
  if (digest.algorithm() == Sha256::name) return AnyHash::of<Sha256>();
  if (digest.algorithm() == Sha512::name) return AnyHash::of<Sha512>();
  throw_error(errc::unsupported, "check", quoted(digest.to_string()), "only sha256 and sha512 name contents");
}

}  // namespace strata::detail
