#include "base/record.hpp"

#include <strata/error.hpp>

#include <limits>
#include <utility>

namespace strata::detail {

Record::Record(std::string_view text, std::string operation, std::string subject)
    : operation_(std::move(operation)), subject_(std::move(subject)) {
  // The library's own messages quote bytes of the text as they are.
  try {
    json_ = nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    throw_error(errc::damaged, operation_, subject_, "it is no JSON from byte " + std::to_string(error.byte) + " on");
  } catch (const nlohmann::json::exception&) {
    throw_error(errc::damaged, operation_, subject_, "it has a number that is too large");
  }
  if (!json_.is_object()) throw_error(errc::damaged, operation_, subject_, "it is no JSON object");
}

void Record::damaged(const char* member, const std::string& what) const {
  throw_error(errc::damaged, operation_, subject_, std::string("member '") + member + "': " + what);
}

void Record::check(const char* member, const std::function<void()>& work) const {
  try {
    work();
  } catch (const Error& error) {
    damaged(member, error.what());
  }
}

const nlohmann::json& Record::at(const char* member) const {
  const auto found = json_.find(member);
  if (found == json_.end()) damaged(member, "it is missing");
  return *found;
}

const std::string& Record::text(const char* member) const {
  const nlohmann::json& value = at(member);
  if (!value.is_string()) damaged(member, "it is no text");
  return value.get_ref<const std::string&>();
}

bool Record::flag(const char* member) const {
  const nlohmann::json& value = at(member);
  if (!value.is_boolean()) damaged(member, "it is neither true nor false");
  return value.get<bool>();
}

std::uint64_t Record::number(const char* member) const {
  const nlohmann::json& value = at(member);
  if (!value.is_number_unsigned()) damaged(member, "it is no whole number from 0 on");
  return value.get<std::uint64_t>();
}

std::int64_t Record::integer(const char* member) const {
  const nlohmann::json& value = at(member);
  if (!value.is_number_integer()) damaged(member, "it is no whole number");
  if (value.is_number_unsigned() &&
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    damaged(member, "it is too large");
  return value.get<std::int64_t>();
}

Digest Record::digest_of(const char* member, const nlohmann::json& value) const {
  if (!value.is_string()) damaged(member, "it is no digest");
  Digest digest;
  check(member, [&] { digest = Digest::parse(value.get_ref<const std::string&>()); });
  return digest;
}

Digest Record::digest(const char* member) const { return digest_of(member, at(member)); }

std::vector<Digest> Record::digests(const char* member) const {
  const nlohmann::json& value = at(member);
  if (!value.is_array()) damaged(member, "it is no list");
  std::vector<Digest> digests;
  for (const nlohmann::json& one : value) digests.push_back(digest_of(member, one));
  return digests;
}

}  // namespace strata::detail
