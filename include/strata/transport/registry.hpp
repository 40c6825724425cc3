// OCI registries (OCI distribution-spec 1.1): "docker://REFERENCE".
//
//   strata::RegistrySource source{strata::ImageReference::parse("debian:12")};
#pragma once

#include <strata/export.hpp>
#include <strata/image.hpp>
#include <strata/layer_source.hpp>
#include <strata/reference.hpp>

#include <boost/filesystem/path.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace strata {

/// Who somebody is to a registry.
struct Credentials {
  std::string user = {};
  std::string secret = {};          ///< a password
  std::string identity_token = {};  ///< in place of the two: an OAuth2 refresh token
  bool empty() const noexcept { return user.empty() && secret.empty() && identity_token.empty(); }
};

/// How registries are reached. A value; the same one serves any number of sources and sinks.
struct RegistryOptions {
  /// As "user:password". Unset: what the files below have, for the longest name that fits the repository.
  std::optional<Credentials> credentials = {};
  /// As podman's `auth.json` and docker's `config.json` are (also their credential helpers, `docker-credential-NAME`).
  /// Empty: $REGISTRY_AUTH_FILE; else the first that has something for the name of
  /// $XDG_RUNTIME_DIR/containers/auth.json, $XDG_CONFIG_HOME/containers/auth.json, $DOCKER_CONFIG/config.json (each
  /// with its usual default).
  boost::filesystem::path auth_file = {};
  /// A folder of `*.crt` (CAs), and `NAME.cert` with `NAME.key` (of the client), as docker and podman have it. Empty:
  /// the folder of the registry's name in ~/.config/containers/certs.d, /etc/containers/certs.d or /etc/docker/certs.d,
  /// where there is one. The system's CAs count besides.
  boost::filesystem::path certificates = {};
  /// false: HTTPS whose certificate isn't checked and, where there is no HTTPS, plain HTTP.
  bool verify_tls = true;
  bool plain_http = false;  ///< HTTP, without asking for HTTPS. Credentials are sent over it too
  /// Asked first, in this order, each as "HOST[:PORT][/PATH]"; what one hasn't got, or where it fails, the next is
  /// asked for, and the registry itself last. A tag is taken from whichever has it. Only for reading, and with no
  /// credentials but their own.
  std::vector<std::string> mirrors = {};
  std::string proxy = {};       ///< empty: as $http_proxy, $https_proxy, $no_proxy say
  std::string user_agent = {};  ///< empty: "strata/VERSION"

  int retries = 5;                             ///< of one request, or of a transfer that makes no headway
  std::chrono::milliseconds first_delay{200};  ///< before the first retry; doubled each time, at random less; a
                                               ///< server's Retry-After counts, up to most_delay
  std::chrono::seconds most_delay{30};
  std::chrono::seconds connect_timeout{30};
  std::chrono::seconds stall_timeout{
      60};  ///< a transfer without a byte in this time is broken; ten times that once all
  /// is sent: the registry may have to move it
  /// Told what is waited for, and why, before a retry; by any thread.
  std::function<void(const std::string& what)> on_retry = {};
};

namespace detail {
class Registry;
}

/// An image in a registry. Transfers that break are continued by Range where the registry can, and where it can't begun
/// anew and read over as far as they had come; the digest is checked by whoever reads. A secret is in no message, and
/// is sent to no other host than that it is for (docs/registries.md).
///
/// Errors: errc::not_found (404); errc::refused (401, with which registries also hide what isn't there, and 403, after
/// all that is known was tried: says by what credentials; other 4xx); errc::digest_mismatch; errc::bad_archive (an
/// answer that breaks the specification, an auth file that is none); errc::unsupported (schema 1);
/// errc::limit_exceeded; others carry the errno of the network: ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH (a
/// name that doesn't resolve), EPROTO (TLS), EAGAIN (429), EREMOTEIO (5xx).
class STRATA_API RegistrySource {
 public:
  static constexpr bool local = false;

  explicit RegistrySource(ImageReference reference, RegistryOptions options = {});
  RegistrySource(RegistrySource&&) noexcept;
  RegistrySource& operator=(RegistrySource&&) noexcept;
  ~RegistrySource();

  std::string name() const;
  Document top(const std::stop_token& stop);
  Document document(const Descriptor& descriptor, const std::stop_token& stop);
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset, const std::stop_token& stop);

  /// What refers to `subject` (distribution-spec, "Listing Referrers"; where the registry has no such thing, by its
  /// fallback tag), of one artifact type, or of all.
  std::vector<Descriptor> referrers(const Digest& subject, const std::string& artifact_type = {},
                                    const std::stop_token& stop = {});
  /// All tags of the repository, sorted.
  std::vector<std::string> tags(const std::stop_token& stop = {});

 private:
  std::shared_ptr<detail::Registry> registry_;
  ImageReference reference_;
};

struct PushToRegistryOptions {
  /// Bytes of one request of a blob's upload; 0: all in one. A registry may ask for more (OCI-Chunk-Min-Length).
  std::uint64_t chunk = 0;
  /// Repositories of the same registry that may have blobs, to be mounted from there instead of sent; empty: none.
  std::vector<std::string> mount_from = {};
};

/// Writes an image to a registry. What has a `subject` is made known to its referrers, by the fallback tag where the
/// registry has no referrers (distribution-spec, "Pushing Manifests with Subject").
class STRATA_API RegistrySink {
 public:
  static constexpr bool parallel = true;

  explicit RegistrySink(ImageReference reference, RegistryOptions options = {}, PushToRegistryOptions push = {});
  RegistrySink(RegistrySink&&) noexcept;
  RegistrySink& operator=(RegistrySink&&) noexcept;
  ~RegistrySink();

  std::string name() const;
  /// Of a blob also true where it could be mounted from one of `mount_from`.
  bool has(const Descriptor& descriptor, const std::stop_token& stop);
  /// An upload that breaks is continued from where the registry says that it is, or begun anew, if `source` needn't be
  /// read again for it: of what was read, the last 16 MiB are kept. Else the error is that of the network. The registry
  /// is never given all bytes of what isn't the blob.
  void put(const Descriptor& blob, ByteSource& source, const Control& control);
  void put(const Document& document, const std::stop_token& stop);
  void finish(const Document& top, const std::stop_token& stop);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

static_assert(LayerSource<RegistrySource> && LayerSink<RegistrySink>);

/// Credentials that the files (see RegistryOptions::auth_file) have for a repository ("docker.io/library/debian").
/// Empty: none. Throws Error for a file that can't be read, and for a helper that fails, or isn't done in a minute.
STRATA_API Credentials find_credentials(const std::string& repository, const boost::filesystem::path& auth_file = {});

}  // namespace strata
