// The name of an image in a registry, as people write it: "debian:12", "ghcr.io/app/web@sha256:…".
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace strata {

/// A value that parse() made, or whose members are as it would make them. The grammar is that of the distribution
/// project's `reference` package, which docker, containerd and podman share: [DOMAIN[:PORT]/]PATH[:TAG][@DIGEST].
struct STRATA_API ImageReference {
  std::string domain;      ///< "docker.io", "localhost:5000", "[::1]:5000"
  std::string repository;  ///< "library/debian"; lower case, at most 255 bytes with the domain
  std::string tag;         ///< at most 128 bytes; empty where there is a digest alone
  std::optional<Digest> digest = {};

  /// As docker reads names: without a domain it is docker.io's, where a path of one part is in library/; without tag
  /// and digest the tag is "latest". Throws errc::bad_argument that shows the text and says what is wrong with it.
  static ImageReference parse(std::string_view text);

  /// All of it: "docker.io/library/debian:12". A tag name (tag.hpp) too.
  std::string to_string() const;
  /// What a registry is asked for: the digest, where there is one, else the tag.
  std::string wanted() const { return digest ? digest->to_string() : tag; }

  friend bool operator==(const ImageReference&, const ImageReference&) = default;
};

}  // namespace strata
