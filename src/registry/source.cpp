#include <strata/error.hpp>
#include <strata/transport/registry.hpp>

#include "image/descriptor.hpp"
#include "image/json.hpp"
#include "registry/blob_reader.hpp"
#include "registry/registry.hpp"

#include <algorithm>
#include <utility>

namespace strata {

using detail::Endpoint;
using detail::Registry;

namespace {

constexpr std::size_t most_pages = 1000;
constexpr std::uint64_t most_of_all = 16 * Document::max_size;  // bytes of a list

/// Calls `take` for each page of a list, which links to the next. A registry that links on and on is refused.
template <class Take>
void for_each_page(Endpoint& endpoint, detail::RegistryRequest request, const std::stop_token& stop, Take take) {
  std::uint64_t bytes = 0;
  for (std::size_t pages = 0; pages < most_pages && bytes <= most_of_all; ++pages) {
    const detail::Fetched page = endpoint.fetch(request, Document::max_size, stop);
    bytes += page.body.size();
    take(page);
    const auto next = detail::parse_next_link(page.headers.find("link").value_or(""));
    if (!next) return;
    request.url = endpoint.led_to(page.url, *next, request);
  }
  throw_error(
      errc::limit_exceeded, request.operation, request.subject,
      "it has more than " + std::to_string(most_pages) + " pages, or " + std::to_string(most_of_all) + " bytes");
}

/// A manifest's or index's own kind, where it names none: that of its config.
void append_referrers(std::vector<Descriptor>& found, const std::string& body, const std::string& shown,
                      const std::string& artifact_type) {
  const detail::OrderedJson json = detail::parse_object(body, shown);
  for (const detail::JsonObject& one : detail::JsonObject(json, shown).objects("manifests")) {
    Descriptor descriptor = detail::read_descriptor(one);
    if (artifact_type.empty() || descriptor.artifact_type == artifact_type) found.push_back(std::move(descriptor));
  }
}

}  // namespace

RegistrySource::RegistrySource(ImageReference reference, RegistryOptions options)
    : registry_(std::make_shared<Registry>(reference, std::move(options), true)), reference_(std::move(reference)) {}
RegistrySource::RegistrySource(RegistrySource&&) noexcept = default;
RegistrySource& RegistrySource::operator=(RegistrySource&&) noexcept = default;
RegistrySource::~RegistrySource() = default;

std::string RegistrySource::name() const { return quoted("docker://" + reference_.to_string()); }

Document RegistrySource::top(const std::stop_token& stop) {
  return registry_->from_any(
      [&](Endpoint& place) { return detail::fetch_manifest(*registry_, place, reference_.wanted(), stop); });
}

Document RegistrySource::document(const Descriptor& descriptor, const std::stop_token& stop) {
  if (descriptor.size > Document::max_size)
    throw_error(errc::limit_exceeded, "read", descriptor.digest.to_string() + " of " + registry_->shown(),
                "a document has at most " + std::to_string(Document::max_size) + " bytes");
  if (is_index(descriptor.media_type) || is_manifest(descriptor.media_type)) {
    return registry_->from_any([&](Endpoint& place) {
      Document document = detail::fetch_manifest(*registry_, place, descriptor.digest.to_string(), stop);
      return Document::checked(std::move(document.bytes), descriptor, registry_->shown());
    });
  }
  const auto reader = open(descriptor, 0, stop);
  MemorySink bytes;
  copy(*reader, bytes);
  return Document::checked(bytes.take(), descriptor, registry_->shown());
}

std::unique_ptr<ByteSource> RegistrySource::open(const Descriptor& blob, std::uint64_t offset,
                                                 const std::stop_token& stop) {
  auto reader = std::make_unique<detail::BlobReader>(registry_, blob, offset, stop);
  if (offset < blob.size) reader->open();
  return reader;
}

std::vector<Descriptor> RegistrySource::referrers(const Digest& subject, const std::string& artifact_type,
                                                  const std::stop_token& stop) {
  const std::string shown = "referrers of " + subject.to_string() + " in " + registry_->shown();
  return registry_->from_any([&](Endpoint& place) {
    std::vector<Descriptor> found;
    std::string path = "/referrers/" + subject.to_string();
    if (!artifact_type.empty()) path += "?artifactType=" + detail::url_encoded(artifact_type);
    try {
      for_each_page(place, {.path = path, .operation = "list", .subject = shown}, stop,
                    [&](const detail::Fetched& page) { append_referrers(found, page.body, shown, artifact_type); });
      return found;
    } catch (const Error& error) {
      if (error.code() != errc::not_found) throw;
    }
    try {
      const Document list = detail::fetch_manifest(*registry_, place, detail::referrers_tag(subject), stop);
      append_referrers(found, list.bytes, shown, artifact_type);
    } catch (const Error& error) {
      if (error.code() != errc::not_found) throw;
    }
    return found;
  });
}

std::vector<std::string> RegistrySource::tags(const std::stop_token& stop) {
  const std::string shown = "tags of " + registry_->shown();
  return registry_->from_any([&](Endpoint& place) {
    std::vector<std::string> tags;
    for_each_page(place, {.path = "/tags/list", .operation = "list", .subject = shown}, stop,
                  [&](const detail::Fetched& page) {
                    const detail::OrderedJson json = detail::parse_object(page.body, shown);
                    const auto more = detail::JsonObject(json, shown).texts("tags");
                    tags.insert(tags.end(), more.begin(), more.end());
                  });
    std::ranges::sort(tags);
    tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
    return tags;
  });
}

}  // namespace strata
