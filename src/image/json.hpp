// The JSON of images, read member by member. It comes from outside: whatever is wrong with it is an error that names
// the member. What is wrong is also: JSON that is too large or too deep, text that is not UTF-8, a number that is none.
#pragma once

#include <strata/digest.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

using OrderedJson = nlohmann::ordered_json;

/// Throws errc::bad_archive, as "cannot read SUBJECT: ...", where it isn't an object of at most Document::max_depth
/// levels. Of two members of one name the later counts, as everyone else has it.
OrderedJson parse_object(std::string_view text, const std::string& subject);

/// One object, and what it is called: "member 'layers' 2 'digest'". Looks at what must outlive it. Members that are
/// null are as if they weren't there, since Go writes such.
class JsonObject {
 public:
  JsonObject(const OrderedJson& json, std::string subject, std::string path = {});

  bool has(const char* member) const;
  std::string text(const char* member) const;
  std::string text_or_empty(const char* member) const;
  std::uint64_t number(const char* member) const;
  bool flag_or_false(const char* member) const;
  Digest digest(const char* member) const;
  std::vector<Digest> digests(const char* member) const;
  std::vector<std::string> texts(const char* member) const;          ///< none where there is no such member
  std::map<std::string, std::string> map(const char* member) const;  ///< the same
  std::vector<std::string> keys(const char* member) const;           ///< the same; sorted
  JsonObject object(const char* member) const;
  std::vector<JsonObject> objects(const char* member) const;
  const OrderedJson& json() const { return json_; }

  [[noreturn]] void bad(const char* member, const std::string& what) const;

 private:
  const OrderedJson* find(const char* member) const;
  const OrderedJson& at(const char* member) const;
  Digest digest_of(const char* member, const OrderedJson& value) const;
  std::string path_of(const char* member) const;

  const OrderedJson& json_;
  std::string subject_;
  std::string path_;
};

/// Sets, or where `value` is empty removes, a member.
void set_text(OrderedJson& json, const char* member, const std::string& value);
void set_texts(OrderedJson& json, const char* member, const std::vector<std::string>& values);
void set_map(OrderedJson& json, const char* member, const std::map<std::string, std::string>& values);
/// An object whose members are empty objects.
void set_keys(OrderedJson& json, const char* member, const std::vector<std::string>& keys);

}  // namespace strata::detail
