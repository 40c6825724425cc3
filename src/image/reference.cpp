#include <strata/error.hpp>
#include <strata/reference.hpp>

#include <algorithm>
#include <string_view>

namespace strata {

namespace {

constexpr std::string_view default_domain = "docker.io";
constexpr std::size_t longest_name = 255;
constexpr std::size_t longest_tag = 128;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alphanumeric(char c) { return is_digit(c) || is_lower(c) || is_upper(c); }

[[noreturn]] void bad(std::string_view text, const std::string& what) {
  throw_error(errc::bad_argument, "use as the name of an image", quoted(text), what,
              "names are like debian, debian:12 or registry.example:5000/app/web@sha256:...");
}

/// letters and digits, with '-' between them
bool is_label(std::string_view label) {
  return !label.empty() && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, [](char c) { return is_alphanumeric(c) || c == '-'; });
}

bool is_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']') && host.size() > 2)
    return std::ranges::all_of(host.substr(1, host.size() - 2), [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
    });
  while (true) {
    const std::size_t dot = host.find('.');
    if (!is_label(host.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

bool is_domain(std::string_view domain) {
  const std::size_t colon = domain.rfind(':');
  if (colon == std::string_view::npos || domain.ends_with(']')) return is_host(domain);
  const std::string_view port = domain.substr(colon + 1);
  return is_host(domain.substr(0, colon)) && !port.empty() && std::ranges::all_of(port, is_digit);
}

/// Lower-case letters and digits, between them '.', '_', '__' or any number of '-'.
bool is_component(std::string_view component) {
  const auto is_inner = [](char c) { return is_digit(c) || is_lower(c); };
  if (component.empty() || !is_inner(component.front()) || !is_inner(component.back())) return false;
  for (std::size_t i = 0; i < component.size();) {
    if (is_inner(component[i])) {
      ++i;
      continue;
    }
    const std::size_t end = static_cast<std::size_t>(
        std::find_if(component.begin() + static_cast<std::ptrdiff_t>(i), component.end(), is_inner) -
        component.begin());
    const std::string_view separator = component.substr(i, end - i);
    if (separator != "." && separator != "_" && separator != "__" && separator.find_first_not_of('-') != separator.npos)
      return false;
    i = end;
  }
  return true;
}

bool is_tag(std::string_view tag) {
  const auto is_word = [](char c) { return is_alphanumeric(c) || c == '_'; };
  return !tag.empty() && tag.size() <= longest_tag && is_word(tag.front()) &&
         std::ranges::all_of(tag, [&](char c) { return is_word(c) || c == '.' || c == '-'; });
}

/// Whether what is before the first slash names a host, and not the first part of a path.
bool looks_like_domain(std::string_view first) {
  return first.find('.') != first.npos || first.find(':') != first.npos || first == "localhost" ||
         std::ranges::any_of(first, is_upper);
}

}  // namespace

ImageReference ImageReference::parse(std::string_view text) {
  ImageReference reference;
  std::string_view name = text;
  if (const std::size_t at = name.find('@'); at != name.npos) {
    const std::string_view digest = name.substr(at + 1);
    reference.digest = Digest::try_parse(digest);
    const bool known =
        reference.digest && (reference.digest->algorithm() == "sha256"
                                 ? reference.digest->bytes().size() == 32
                                 : reference.digest->algorithm() == "sha512" && reference.digest->bytes().size() == 64);
    if (!known) bad(text, "what is behind '@' is no sha256 or sha512 digest");
    name = name.substr(0, at);
  }
  const std::size_t slash = name.rfind('/');
  const std::size_t colon = name.rfind(':');
  if (colon != name.npos && (slash == name.npos || colon > slash)) {
    reference.tag = name.substr(colon + 1);
    if (!is_tag(reference.tag)) bad(text, quoted(reference.tag) + " is no tag");
    name = name.substr(0, colon);
  }
  if (name.empty()) bad(text, "there is no name");
  if (name.size() == 64 && std::ranges::all_of(name, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }))
    bad(text, "it is an id, and no name");

  const std::size_t first = name.find('/');
  if (first != name.npos && looks_like_domain(name.substr(0, first))) {
    reference.domain = name.substr(0, first);
    reference.repository = name.substr(first + 1);
    if (!is_domain(reference.domain)) bad(text, quoted(reference.domain) + " is no host");
  } else {
    reference.domain = default_domain;
    reference.repository = name;
  }
  // Docker's first registry had this name.
  if (reference.domain == "index.docker.io") reference.domain = default_domain;
  if (reference.domain == default_domain && reference.repository.find('/') == std::string::npos)
    reference.repository.insert(0, "library/");

  for (std::string_view rest = reference.repository;;) {
    const std::size_t end = rest.find('/');
    const std::string_view component = rest.substr(0, end);
    if (std::ranges::any_of(component, is_upper)) bad(text, "the name of a repository is in lower case");
    if (!is_component(component)) bad(text, quoted(component) + " is no part of a repository's name");
    if (end == rest.npos) break;
    rest.remove_prefix(end + 1);
  }
  if (reference.domain.size() + 1 + reference.repository.size() > longest_name)
    bad(text, "it is longer than " + std::to_string(longest_name) + " bytes");
  if (reference.tag.empty() && !reference.digest) reference.tag = "latest";
  return reference;
}

std::string ImageReference::to_string() const {
  std::string text = domain + "/" + repository;
  if (!tag.empty()) text += ":" + tag;
  if (digest) text += "@" + digest->to_string();
  return text;
}

}  // namespace strata
