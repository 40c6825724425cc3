#include "registry/header_values.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>

namespace strata::detail {
namespace {

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string small_letters(std::string_view text) {
  std::string made(text);
  std::ranges::transform(made, made.begin(), small);
  return made;
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && (is_blank(text.back()) || text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

/// Reads a header from its front.
class Scanner {
 public:
  explicit Scanner(std::string_view rest) : rest_(rest) {}

  bool at_end() const { return rest_.empty(); }
  bool take(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void skip_blanks() {
    while (!rest_.empty() && is_blank(rest_.front())) rest_.remove_prefix(1);
  }
  /// RFC 9110's list: elements may be empty.
  void skip_commas() {
    while (!rest_.empty() && (is_blank(rest_.front()) || rest_.front() == ',')) rest_.remove_prefix(1);
  }
  std::string_view token() {
    const auto is_token = [](char c) {
      return c > ' ' && c < 0x7f && std::string_view("()<>@,;:\\\"/[]?={}").find(c) == std::string_view::npos;
    };
    std::size_t size = 0;
    while (size < rest_.size() && is_token(rest_[size])) ++size;
    const std::string_view found = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return found;
  }
  /// A token, or a quoted string without its quotes. nullopt: neither.
  std::optional<std::string> value() {
    if (!take('"')) {
      // Some servers don't quote realms, so that what no token may have is taken too.
      const std::size_t size = std::min(rest_.find_first_of(", \t\""), rest_.size());
      if (size == 0) return std::nullopt;
      const std::string found(rest_.substr(0, size));
      rest_.remove_prefix(size);
      return found;
    }
    std::string text;
    while (!rest_.empty()) {
      char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return text;
      if (c == '\\') {
        if (rest_.empty()) return std::nullopt;
        c = rest_.front();
        rest_.remove_prefix(1);
      }
      text += c;
    }
    return std::nullopt;
  }
  /// Up to one of `ends`.
  std::string_view until(std::string_view ends) {
    const std::size_t size = std::min(rest_.find_first_of(ends), rest_.size());
    const std::string_view found = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return found;
  }

 private:
  std::string_view rest_;
};

/// NAME=VALUE; nullopt, and nothing read, where something else comes.
std::optional<std::pair<std::string, std::string>> parameter(Scanner& scanner) {
  Scanner ahead = scanner;
  const std::string_view name = ahead.token();
  ahead.skip_blanks();
  if (name.empty() || !ahead.take('=')) return std::nullopt;
  ahead.skip_blanks();
  auto value = ahead.value();
  if (!value) return std::nullopt;
  scanner = ahead;
  return std::pair{small_letters(name), std::move(*value)};
}

}  // namespace

void HttpHeaders::add(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  headers_.emplace_back(small_letters(trimmed(line.substr(0, colon))), trimmed(line.substr(colon + 1)));
}

std::optional<std::string> HttpHeaders::find(std::string_view name) const {
  const auto found = std::ranges::find(headers_, name, [](const auto& header) { return header.first; });
  return found == headers_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> HttpHeaders::all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [key, value] : headers_)
    if (key == name) values.push_back(value);
  return values;
}

std::optional<std::uint64_t> HttpHeaders::number(std::string_view name) const {
  const auto text = find(name);
  return text ? whole_number(*text) : std::nullopt;
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || text.empty() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::vector<Challenge> parse_challenges(std::string_view text) {
  std::vector<Challenge> challenges;
  Scanner scanner(text);
  for (;;) {
    scanner.skip_commas();
    Challenge challenge{.scheme = small_letters(scanner.token())};
    if (challenge.scheme.empty()) return challenges;
    scanner.skip_blanks();
    // Parameters and further challenges are both behind commas: what has no '=' is another scheme.
    while (auto found = parameter(scanner)) {
      challenge.parameters.insert(std::move(*found));
      scanner.skip_commas();
    }
    challenges.push_back(std::move(challenge));
  }
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  text = trimmed(text);
  if (small_letters(text.substr(0, 6)) != "bytes ") return std::nullopt;
  text = trimmed(text.substr(6));
  const std::size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return std::nullopt;
  const auto first = whole_number(text.substr(0, dash));
  const auto last = whole_number(text.substr(dash + 1, slash - dash - 1));
  const std::string_view total = text.substr(slash + 1);
  const auto size = whole_number(total);
  if (!first || !last || *last < *first || (!size && total != "*") || (size && *size <= *last)) return std::nullopt;
  return ContentRange{*first, *last, size};
}

std::optional<std::uint64_t> parse_upload_range(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with("bytes=")) text.remove_prefix(6);
  if (!text.starts_with("0-")) return std::nullopt;
  const auto last = whole_number(text.substr(2));
  if (!last || *last == UINT64_MAX) return std::nullopt;
  return *last == 0 ? 0 : *last + 1;
}

std::optional<std::string> parse_next_link(std::string_view text) {
  Scanner scanner(text);
  for (;;) {
    scanner.skip_commas();
    if (!scanner.take('<')) return std::nullopt;
    const std::string target(scanner.until(">"));
    if (!scanner.take('>')) return std::nullopt;
    bool is_next = false;
    for (;;) {
      scanner.skip_blanks();
      if (!scanner.take(';')) break;
      scanner.skip_blanks();
      const auto found = parameter(scanner);
      if (!found) return std::nullopt;
      is_next = is_next || (found->first == "rel" && small_letters(found->second) == "next");
    }
    if (is_next) return target;
    scanner.skip_blanks();
    if (scanner.at_end()) return std::nullopt;
  }
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view text, std::time_t now) {
  text = trimmed(text);
  constexpr std::uint64_t most = 1U << 30;
  if (const auto seconds = whole_number(text)) return std::chrono::seconds(std::min(*seconds, most));
  const std::time_t date = ::curl_getdate(std::string(text).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return std::chrono::seconds(std::clamp<std::int64_t>(date - now, 0, std::int64_t{most}));
}

}  // namespace strata::detail
