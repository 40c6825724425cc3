// The JSON records of a store, member by member. Whatever is wrong with one is damage: also what JSON has room for and
// the record hasn't, as fractions, negative sizes, and text that is no digest.
#pragma once

#include <strata/digest.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// Everything throws errc::damaged, as "cannot OPERATION SUBJECT: ... (member 'x': ...)".
class Record {
 public:
  Record(std::string_view text, std::string operation, std::string subject);

  bool has(const char* member) const { return json_.contains(member); }
  const nlohmann::json& at(const char* member) const;
  const std::string& text(const char* member) const;
  bool flag(const char* member) const;
  std::uint64_t number(const char* member) const;
  /// One that may be negative.
  std::int64_t integer(const char* member) const;
  Digest digest(const char* member) const;
  std::vector<Digest> digests(const char* member) const;

  [[noreturn]] void damaged(const char* member, const std::string& what) const;
  /// Runs `work`, whose Error becomes damage of that member.
  void check(const char* member, const std::function<void()>& work) const;

 private:
  Digest digest_of(const char* member, const nlohmann::json& value) const;

  nlohmann::json json_;
  std::string operation_, subject_;
};

}  // namespace strata::detail
