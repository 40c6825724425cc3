#include "image/json.hpp"

#include <strata/error.hpp>
#include <strata/image.hpp>

#include <algorithm>
#include <utility>
#include <vector>

namespace strata::detail {

namespace {

/// An object that keeps its members' order is searched for each of them: a wide one takes the square of its width.
constexpr std::size_t most_members = 4096;
/// A value takes some 100 bytes of memory, and may take two bytes of text.
constexpr std::size_t most_values = 256U << 10;

/// What there is too much of, as brackets and commas say before anything is made of them; empty: nothing.
std::string excess_of(std::string_view text) {
  std::vector<std::size_t> commas;  // of each level
  std::size_t values = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_text = false;
      continue;
    }
    // Each value but the first of a level stands behind a comma, and each level begins with a bracket.
    if ((c == '{' || c == '[' || c == ',') && ++values == most_values)
      return "it has more than " + std::to_string(most_values) + " values";
    if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      if (commas.size() == Document::max_depth)
        return "it is deeper than " + std::to_string(Document::max_depth) + " levels";
      commas.push_back(c == '{' ? 0 : text.size());  // a list may be as long as it likes
    } else if (c == '}' || c == ']') {
      if (!commas.empty()) commas.pop_back();
    } else if (c == ',' && !commas.empty() && ++commas.back() == most_members) {
      return "an object of it has more than " + std::to_string(most_members) + " members";
    }
  }
  return {};
}

[[noreturn]] void unreadable(const std::string& subject, const std::string& what) {
  throw_error(errc::bad_archive, "read", subject, what);
}

}  // namespace

OrderedJson parse_object(std::string_view text, const std::string& subject) {
  if (text.size() > Document::max_size)
    throw_error(errc::limit_exceeded, "read", subject,
                "it is larger than " + std::to_string(Document::max_size) + " bytes");
  if (const std::string excess = excess_of(text); !excess.empty())
    throw_error(errc::limit_exceeded, "read", subject, excess);
  OrderedJson json;
  // The library's own messages quote bytes of the text as they are.
  try {
    json = OrderedJson::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    unreadable(subject, "it is no JSON from byte " + std::to_string(error.byte) + " on");
  } catch (const nlohmann::json::exception&) {
    unreadable(subject, "it has a number that is too large");
  }
  if (!json.is_object()) unreadable(subject, "it is no JSON object");
  return json;
}

JsonObject::JsonObject(const OrderedJson& json, std::string subject, std::string path)
    : json_(json), subject_(std::move(subject)), path_(std::move(path)) {}

std::string JsonObject::path_of(const char* member) const {
  return path_.empty() ? std::string(member) : path_ + "." + member;
}

void JsonObject::bad(const char* member, const std::string& what) const {
  unreadable(subject_, "member '" + path_of(member) + "': " + what);
}

const OrderedJson* JsonObject::find(const char* member) const {
  const auto found = json_.find(member);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

const OrderedJson& JsonObject::at(const char* member) const {
  const OrderedJson* found = find(member);
  if (found == nullptr) bad(member, "it is missing");
  return *found;
}

bool JsonObject::has(const char* member) const { return find(member) != nullptr; }

std::string JsonObject::text(const char* member) const {
  const OrderedJson& value = at(member);
  if (!value.is_string()) bad(member, "it is no text");
  return value.get<std::string>();
}

std::string JsonObject::text_or_empty(const char* member) const { return has(member) ? text(member) : std::string(); }

std::uint64_t JsonObject::number(const char* member) const {
  const OrderedJson& value = at(member);
  if (!value.is_number_unsigned()) bad(member, "it is no whole number from 0 on");
  return value.get<std::uint64_t>();
}

bool JsonObject::flag_or_false(const char* member) const {
  const OrderedJson* value = find(member);
  if (value == nullptr) return false;
  if (!value->is_boolean()) bad(member, "it is neither true nor false");
  return value->get<bool>();
}

Digest JsonObject::digest_of(const char* member, const OrderedJson& value) const {
  if (!value.is_string()) bad(member, "it is no digest");
  const auto digest = Digest::try_parse(value.get_ref<const std::string&>());
  if (!digest) bad(member, quoted(value.get_ref<const std::string&>()) + " is no digest");
  const bool known = (digest->algorithm() == "sha256" && digest->bytes().size() == 32) ||
                     (digest->algorithm() == "sha512" && digest->bytes().size() == 64);
  if (!known) bad(member, "only sha256 and sha512 name contents: " + quoted(digest->to_string()));
  return *digest;
}

Digest JsonObject::digest(const char* member) const { return digest_of(member, at(member)); }

std::vector<Digest> JsonObject::digests(const char* member) const {
  std::vector<Digest> digests;
  const OrderedJson* value = find(member);
  if (value == nullptr) return digests;
  if (!value->is_array()) bad(member, "it is no list");
  for (const OrderedJson& one : *value) digests.push_back(digest_of(member, one));
  return digests;
}

std::vector<std::string> JsonObject::texts(const char* member) const {
  std::vector<std::string> texts;
  const OrderedJson* value = find(member);
  if (value == nullptr) return texts;
  if (!value->is_array()) bad(member, "it is no list");
  for (const OrderedJson& one : *value) {
    if (!one.is_string()) bad(member, "it has something that is no text");
    texts.push_back(one.get<std::string>());
  }
  return texts;
}

std::map<std::string, std::string> JsonObject::map(const char* member) const {
  std::map<std::string, std::string> texts;
  if (!has(member)) return texts;
  for (const auto& [key, value] : object(member).json().items()) {
    if (!value.is_string()) bad(member, quoted(key) + " is no text");
    texts.emplace(key, value.template get<std::string>());
  }
  return texts;
}

std::vector<std::string> JsonObject::keys(const char* member) const {
  std::vector<std::string> keys;
  if (!has(member)) return keys;
  for (const auto& [key, value] : object(member).json().items()) keys.push_back(key);
  std::ranges::sort(keys);
  return keys;
}

JsonObject JsonObject::object(const char* member) const {
  const OrderedJson& value = at(member);
  if (!value.is_object()) bad(member, "it is no object");
  return {value, subject_, path_of(member)};
}

std::vector<JsonObject> JsonObject::objects(const char* member) const {
  std::vector<JsonObject> objects;
  const OrderedJson* value = find(member);
  if (value == nullptr) return objects;
  if (!value->is_array()) bad(member, "it is no list");
  for (const OrderedJson& one : *value) {
    if (!one.is_object()) bad(member, "it has something that is no object");
    objects.emplace_back(one, subject_, path_of(member) + "[" + std::to_string(objects.size()) + "]");
  }
  return objects;
}

void set_text(OrderedJson& json, const char* member, const std::string& value) {
  value.empty() ? void(json.erase(member)) : void(json[member] = value);
}

void set_texts(OrderedJson& json, const char* member, const std::vector<std::string>& values) {
  values.empty() ? void(json.erase(member)) : void(json[member] = values);
}

void set_map(OrderedJson& json, const char* member, const std::map<std::string, std::string>& values) {
  values.empty() ? void(json.erase(member)) : void(json[member] = values);
}

void set_keys(OrderedJson& json, const char* member, const std::vector<std::string>& keys) {
  if (keys.empty()) return void(json.erase(member));
  OrderedJson object = OrderedJson::object();
  for (const std::string& key : keys) object[key] = OrderedJson::object();
  json[member] = std::move(object);
}

}  // namespace strata::detail
