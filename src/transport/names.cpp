#include <strata/error.hpp>
#include <strata/reference.hpp>
#include <strata/transport/names.hpp>

#include <array>
#include <utility>

namespace strata {

namespace {

using Transport = ImageName::Transport;

struct Prefix {
  Transport transport;
  std::string_view text;
};
/// docker's is no path's, and stands for what has no prefix too.
constexpr std::array<Prefix, 5> prefixes = {{{Transport::docker, "docker://"},
                                             {Transport::oci, "oci:"},
                                             {Transport::oci_archive, "oci-archive:"},
                                             {Transport::docker_archive, "docker-archive:"},
                                             {Transport::strata, "strata:"}}};

constexpr const char* remedy =
    "images are named as docker://REFERENCE, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] and "
    "strata:ROOT:NAME, or by a reference alone";

[[noreturn]] void bad(std::string_view text, std::string what) {
  throw_error(errc::bad_argument, "use as the name of an image", quoted(text), std::move(what), remedy);
}

ImageName parse_reference(std::string_view text, std::string_view reference) {
  try {
    ImageReference::parse(reference);
  } catch (const Error& error) {
    bad(text, error.detail());
  }
  return {.transport = Transport::docker, .image = std::string(reference)};
}

}  // namespace

ImageName ImageName::parse(std::string_view text) {
  for (const Prefix& prefix : prefixes) {
    if (!text.starts_with(prefix.text)) continue;
    const std::string_view rest = text.substr(prefix.text.size());
    if (prefix.transport == Transport::docker) return parse_reference(text, rest);
    const std::size_t colon = rest.find(':');
    ImageName name{.transport = prefix.transport, .path = std::string(rest.substr(0, colon))};
    if (colon != std::string_view::npos) name.image = rest.substr(colon + 1);
    if (name.path.empty()) bad(text, "it has no path; a path can't have a ':'");
    if (name.transport == Transport::strata && name.image.empty()) bad(text, "it doesn't say which image of the store");
    if (colon != std::string_view::npos && name.image.empty()) bad(text, "nothing follows its last ':'");
    return name;
  }
  return parse_reference(text, text);
}

std::string ImageName::to_string() const {
  std::string text;
  for (const Prefix& prefix : prefixes)
    if (prefix.transport == transport) text = prefix.text;
  if (transport == Transport::docker) return text + image;
  return text + path.native() + (image.empty() ? "" : ":" + image);
}

}  // namespace strata
