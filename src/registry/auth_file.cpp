#include "registry/auth_file.hpp"

#include <strata/error.hpp>

#include "base/names.hpp"
#include "image/json.hpp"
#include "registry/docker_hub.hpp"
#include "registry/secrets.hpp"

#include <algorithm>

namespace strata::detail {
namespace {

/// The registry that a key names which docker wrote: it may be a URL.
std::string registry_of(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"})
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  const std::string host(key.substr(0, key.find('/')));
  const bool is_hub = host == docker_hub_index || host == docker_hub_host;
  return is_hub ? std::string(docker_hub) : host;
}

Credentials read_entry(const JsonObject& entry) {
  Credentials credentials{.identity_token = entry.text_or_empty("identitytoken")};
  const std::string auth = entry.text_or_empty("auth");
  if (auth.empty()) return credentials;
  const auto text = from_base64(auth);
  const std::size_t colon = text ? text->find(':') : std::string::npos;
  if (colon == std::string::npos) entry.bad("auth", "it is not USER:PASSWORD in base64");
  credentials.user = text->substr(0, colon);
  credentials.secret = text->substr(colon + 1);
  while (credentials.secret.ends_with('\0')) credentials.secret.pop_back();  // docker of old filled it up
  return credentials;
}

/// A part of a program's name.
void check_helper(const JsonObject& object, const char* member, const std::string& name) {
  const bool fits = !name.empty() && name.size() <= 100 && std::ranges::all_of(name, [](char c) {
    return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.';
  });
  if (!fits) object.bad(member, quoted(name) + " is no name of a credential helper");
}

}  // namespace

AuthFile AuthFile::parse(std::string_view text, const std::string& shown) {
  AuthFile file;
  const OrderedJson json = parse_object(text, shown);
  const JsonObject object(json, shown);
  if (object.has("auths")) {
    const JsonObject auths = object.object("auths");
    for (const auto& item : auths.json().items()) {
      if (item.value().is_null()) continue;
      if (!item.value().is_object()) object.bad("auths", quoted(item.key()) + " is no object");
      file.entries[item.key()] = read_entry(JsonObject(item.value(), shown, "auths"));
    }
  }
  file.helpers = object.map("credHelpers");
  for (const auto& [registry, name] : file.helpers) check_helper(object, "credHelpers", name);
  file.store = object.text_or_empty("credsStore");
  if (!file.store.empty()) check_helper(object, "credsStore", file.store);
  return file;
}

std::optional<Credentials> AuthFile::find(const std::string& repository) const {
  // docker leaves an empty entry for what a helper keeps.
  for (std::string name = repository;; name.resize(name.rfind('/'))) {
    if (const auto found = entries.find(name); found != entries.end() && !found->second.empty()) return found->second;
    if (name.find('/') == std::string::npos) break;
  }
  const std::string registry = registry_of(repository);
  for (const auto& [key, credentials] : entries) {
    const bool names_a_part = key.find('/') != std::string::npos && key.find("://") == std::string::npos;
    if (!names_a_part && registry_of(key) == registry && !credentials.empty()) return credentials;
  }
  return std::nullopt;
}

}  // namespace strata::detail
