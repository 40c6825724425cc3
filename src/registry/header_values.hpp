// What stands in headers of HTTP: RFC 9110 and 8288, and the distribution spec's own use of Range. All of it comes
// from outside.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::detail {

/// The headers of an answer, in their order.
class HttpHeaders {
 public:
  void add(std::string_view line);
  void clear() { headers_.clear(); }
  /// The first of that name, which is of small letters; nullopt: there is none.
  std::optional<std::string> find(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;
  /// nullopt also where it is no number.
  std::optional<std::uint64_t> number(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> headers_;
};

/// Digits alone that fit; else nullopt.
std::optional<std::uint64_t> whole_number(std::string_view text);

/// One way to say who one is (RFC 9110, 11.6.1).
struct Challenge {
  std::string scheme = {};                             ///< in small letters
  std::map<std::string, std::string> parameters = {};  ///< names in small letters

  friend bool operator==(const Challenge&, const Challenge&) = default;
};
/// Of one WWW-Authenticate header. What breaks the grammar ends the list, what stood before it counts.
std::vector<Challenge> parse_challenges(std::string_view text);

/// "bytes 5-9/10" (RFC 9110, 14.4).
struct ContentRange {
  std::uint64_t first = 0, last = 0;
  std::optional<std::uint64_t> size = {};
  friend bool operator==(const ContentRange&, const ContentRange&) = default;
};
std::optional<ContentRange> parse_content_range(std::string_view text);

/// How many bytes of an upload a registry has, by its Range header "0-N". "0-0" stands for none: the registry project
/// says so of an upload that has just begun.
std::optional<std::uint64_t> parse_upload_range(std::string_view text);

/// The target of the link with rel=next (RFC 8288).
std::optional<std::string> parse_next_link(std::string_view text);

/// Seconds, or a date (RFC 9110, 10.2.3).
std::optional<std::chrono::seconds> parse_retry_after(std::string_view text, std::time_t now);

}  // namespace strata::detail
