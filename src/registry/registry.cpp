#include "registry/registry.hpp"

#include <strata/error.hpp>
#include <strata/version.hpp>

#include "image/json.hpp"
#include "registry/docker_hub.hpp"

#include <algorithm>

namespace strata::detail {
namespace {

HttpOptions http_options(const RegistryOptions& options) {
  return {.verify_tls = options.verify_tls,
          .proxy = options.proxy,
          .user_agent = options.user_agent.empty() ? "strata/" STRATA_VERSION : options.user_agent,
          .connect_timeout = options.connect_timeout,
          .stall_timeout = options.stall_timeout};
}

/// A header's value is one line.
void check_options(const RegistryOptions& options) {
  const bool one_line =
      std::ranges::none_of(options.user_agent, [](char c) { return static_cast<unsigned char>(c) < ' '; });
  if (!one_line) throw_error(errc::bad_argument, "use", quoted(options.user_agent), "a user agent is one line");
}

/// "HOST[:PORT][/PATH]", checked as a name of an image is.
std::pair<std::string, std::string> mirror_of(const std::string& text, const std::string& repository) try {
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string domain = text.substr(0, slash);
  const std::string path = slash == text.size() ? repository : text.substr(slash + 1) + "/" + repository;
  const ImageReference reference = ImageReference::parse(domain + "/" + path);
  if (reference.domain != domain || reference.repository != path)
    throw_error(errc::bad_argument, "use", quoted(text), "it is no HOST[:PORT][/PATH]");
  return {domain, path};
} catch (Error& error) {
  error.add_context("mirror " + quoted(text));
  throw;
}

/// What the body says that it is, where the answer's type is none of ours.
std::string guessed_type(const std::string& body, const std::string& shown) {
  const OrderedJson json = parse_object(body, shown);
  const JsonObject object(json, shown);
  if (object.has("mediaType")) return object.text("mediaType");
  if (object.has("manifests")) return std::string(media_type::oci_index);
  if (object.has("layers")) return std::string(media_type::oci_manifest);
  return {};
}

bool is_schema1(const std::string& type) {
  return type.starts_with("application/vnd.docker.distribution.manifest.v1+");
}

}  // namespace

Registry::Registry(const ImageReference& reference, RegistryOptions options, bool reading)
    : options_(std::move(options)),
      shown_(quoted(reference.domain + "/" + reference.repository)),
      http_(http_options(options_)) {
  check_options(options_);
  if (reading) {
    for (const std::string& mirror : options_.mirrors) {
      const auto [domain, repository] = mirror_of(mirror, reference.repository);
      endpoints_.push_back(std::make_unique<Endpoint>(http_, options_, domain, repository, Endpoint::Kind::mirror));
    }
  }
  endpoints_.push_back(std::make_unique<Endpoint>(http_, options_, reference.domain, reference.repository));
}

void Registry::tell(const Error& error) const {
  if (options_.on_retry) options_.on_retry(std::string(error.what()) + "; the next mirror, or the registry, is asked");
}

std::string accept_manifests() {
  return "Accept: " + std::string(media_type::oci_index) + ", " + std::string(media_type::oci_manifest) + ", " +
         std::string(media_type::docker_index) + ", " + std::string(media_type::docker_manifest);
}

Document fetch_manifest(const Registry& registry, Endpoint& endpoint, const std::string& wanted,
                        const std::stop_token& stop) {
  const std::string shown = "manifest " + quoted(wanted) + " of " + registry.shown();
  Fetched answer = endpoint.fetch(
      {.path = "/manifests/" + wanted, .headers = {accept_manifests()}, .operation = "read", .subject = shown},
      Document::max_size, stop);

  std::string type = answer.headers.find("content-type").value_or("");
  type = type.substr(0, type.find_first_of("; "));
  if (!is_index(type) && !is_manifest(type) && !is_schema1(type)) type = guessed_type(answer.body, shown);
  if (is_schema1(type) || type.empty())
    throw_error(errc::unsupported, "read", shown,
                type.empty() ? "it is no manifest that is known" : "it is of Docker's schema 1",
                "push the image again with a tool of this decade");

  const auto said = answer.headers.find("docker-content-digest");
  auto digest = Digest::try_parse(wanted);
  if (!digest && said) digest = Digest::try_parse(*said);
  if (said && !digest) throw_error(errc::bad_archive, "read", shown, "its Docker-Content-Digest is " + quoted(*said));
  if (!digest) return Document::of(std::move(answer.body), type);
  const Descriptor expected{.media_type = type, .digest = *digest, .size = answer.body.size()};
  return Document::checked(std::move(answer.body), expected, answer.url.shown());
}

std::string referrers_tag(const Digest& subject) {
  return std::string(subject.algorithm()) + "-" + subject.hex().substr(0, 64);
}

}  // namespace strata::detail
