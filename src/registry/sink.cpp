#include <strata/error.hpp>
#include <strata/transport/registry.hpp>

#include "image/descriptor.hpp"
#include "image/json.hpp"
#include "registry/registry.hpp"
#include "registry/upload.hpp"

#include <algorithm>
#include <utility>

namespace strata {

using detail::Endpoint;
using detail::JsonObject;
using detail::OrderedJson;
using detail::RegistryRequest;

struct RegistrySink::Impl {
  Impl(ImageReference to, RegistryOptions options, PushToRegistryOptions push_options)
      : reference(std::move(to)), push(std::move(push_options)), registry(reference, std::move(options), false) {
    for (const std::string& from : push.mount_from)
      if (ImageReference::parse(reference.domain + "/" + from).repository != from)
        throw_error(errc::bad_argument, "mount blobs from", quoted(from), "it is no name of a repository");
  }

  Endpoint& place() const { return registry.itself(); }
  bool has(const std::string& path, const std::string& shown, const std::stop_token& stop) const;
  bool mount(const Descriptor& blob, const std::string& from, const std::stop_token& stop) const;
  void put_manifest(const Document& document, const std::string& name, const std::stop_token& stop) const;
  void list_referrer(const Document& document, const Digest& subject, const std::stop_token& stop) const;

  ImageReference reference;
  PushToRegistryOptions push;
  detail::Registry registry;
};

namespace {

bool is_document(std::string_view media_type) { return is_index(media_type) || is_manifest(media_type); }

/// As referrers are listed (distribution-spec, "Listing Referrers").
Descriptor as_referrer(const Document& document, const JsonObject& object) {
  Descriptor descriptor = document.descriptor();
  descriptor.artifact_type = object.text_or_empty("artifactType");
  if (descriptor.artifact_type.empty() && object.has("config"))
    descriptor.artifact_type = object.object("config").text_or_empty("mediaType");
  descriptor.annotations = object.map("annotations");
  return descriptor;
}

}  // namespace

bool RegistrySink::Impl::has(const std::string& path, const std::string& shown, const std::stop_token& stop) const {
  RegistryRequest head{.method = "HEAD",
                       .path = path,
                       .headers = {detail::accept_manifests()},
                       .scopes = detail::push_scopes(place()),
                       .operation = "look for",
                       .subject = shown + " in " + registry.shown()};
  detail::Retries retries = place().retries();
  const auto answer = place().send(head, retries, stop);
  if (answer->status() == 200) return true;
  if (answer->status() == 404) return false;
  place().refuse(*answer, head);
}

/// A registry that can't or won't begins an upload instead, which is dropped.
bool RegistrySink::Impl::mount(const Descriptor& blob, const std::string& from, const std::stop_token& stop) const {
  RegistryRequest post{.method = "POST",
                       .path = "/blobs/uploads/?mount=" + detail::url_encoded(blob.digest.to_string()) +
                               "&from=" + detail::url_encoded(from),
                       .headers = {"Content-Type:"},
                       .scopes = detail::push_scopes(place()),
                       .operation = "mount",
                       .subject = "blob " + blob.digest.to_string() + " into " + registry.shown()};
  post.scopes.push_back("repository:" + from + ":pull");
  detail::Retries retries = place().retries();
  try {
    const auto answer = place().send(post, retries, stop);
    const auto location = answer->headers().find("location");
    if (answer->status() == 201) return true;
    if (answer->status() != 202 || !location) return false;
    RegistryRequest drop = post;
    drop.method = "DELETE";
    drop.url = place().led_to(answer->url(), *location, post);
    place().send(drop, retries, stop);
    return false;
  } catch (const Error& error) {
    // What the other repository's owner doesn't allow is sent.
    if (error.code() == errc::refused || error.code() == errc::not_found) return false;
    throw;
  }
}

void RegistrySink::Impl::put_manifest(const Document& document, const std::string& name,
                                      const std::stop_token& stop) const {
  const std::string shown = "manifest " + quoted(name) + " to " + registry.shown();
  std::optional<MemorySource> body;
  RegistryRequest put{.method = "PUT",
                      .path = "/manifests/" + name,
                      .headers = {"Content-Type: " + document.media_type},
                      .scopes = detail::push_scopes(place()),
                      .body = [&]() -> ByteSource* { return &body.emplace(document.bytes); },
                      .body_size = document.bytes.size(),
                      .operation = "send",
                      .subject = shown};
  detail::Retries retries = place().retries();
  const auto answer = place().send(put, retries, stop);
  if (answer->status() != 201 && answer->status() != 200 && answer->status() != 202) place().refuse(*answer, put);
  const auto said = answer->headers().find("docker-content-digest");
  if (said && document.digest.algorithm() == "sha256" && *said != document.digest.to_string())
    throw_error(errc::digest_mismatch, "send", shown, "it says that it has stored " + quoted(*said));

  const OrderedJson json = detail::parse_object(document.bytes, shown);
  const JsonObject object(json, shown);
  if (object.has("subject") && !answer->headers().find("oci-subject"))
    list_referrer(document, detail::read_descriptor(object.object("subject")).digest, stop);
}

/// Read, changed and written: of two that do so at once, one may be lost. The specification has nothing better.
void RegistrySink::Impl::list_referrer(const Document& document, const Digest& subject,
                                       const std::stop_token& stop) const {
  const std::string tag = detail::referrers_tag(subject);
  ImageIndex index;
  try {
    index = ImageIndex::parse(detail::fetch_manifest(registry, place(), tag, stop));
  } catch (const Error& error) {
    if (error.code() != errc::not_found) throw;
  }
  const bool listed =
      std::ranges::any_of(index.manifests, [&](const Descriptor& one) { return one.digest == document.digest; });
  if (listed) return;
  const OrderedJson json = detail::parse_object(document.bytes, tag);
  index.manifests.push_back(as_referrer(document, JsonObject(json, tag)));
  put_manifest(index.document(), tag, stop);
}

RegistrySink::RegistrySink(ImageReference reference, RegistryOptions options, PushToRegistryOptions push)
    : impl_(std::make_unique<Impl>(std::move(reference), std::move(options), std::move(push))) {}
RegistrySink::RegistrySink(RegistrySink&&) noexcept = default;
RegistrySink& RegistrySink::operator=(RegistrySink&&) noexcept = default;
RegistrySink::~RegistrySink() = default;

std::string RegistrySink::name() const { return quoted("docker://" + impl_->reference.to_string()); }

bool RegistrySink::has(const Descriptor& descriptor, const std::stop_token& stop) {
  const std::string digest = descriptor.digest.to_string();
  if (is_document(descriptor.media_type)) return impl_->has("/manifests/" + digest, "manifest " + digest, stop);
  if (impl_->has("/blobs/" + digest, "blob " + digest, stop)) return true;
  return std::ranges::any_of(impl_->push.mount_from,
                             [&](const std::string& from) { return impl_->mount(descriptor, from, stop); });
}

void RegistrySink::put(const Descriptor& blob, ByteSource& source, const Control& control) {
  detail::Upload(impl_->place(), blob, impl_->push.chunk, impl_->registry.shown()).run(source, control);
}

void RegistrySink::put(const Document& document, const std::stop_token& stop) {
  if (is_document(document.media_type)) return impl_->put_manifest(document, document.digest.to_string(), stop);
  MemorySource bytes(document.bytes);
  put(document.descriptor(), bytes, Control{.stop = stop});
}

void RegistrySink::finish(const Document& top, const std::stop_token& stop) {
  const ImageReference& reference = impl_->reference;
  if (reference.digest && *reference.digest != top.digest)
    throw_error(errc::digest_mismatch, "send", top.digest.to_string() + " to " + impl_->registry.shown(),
                "the reference says " + reference.digest->to_string());
  impl_->put_manifest(top, reference.tag.empty() ? top.digest.to_string() : reference.tag, stop);
}

}  // namespace strata
