// PAX extension headers: records "LENGTH KEYWORD=VALUE\n", and the forms that their values take.
#pragma once

#include <strata/tar.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::detail {

struct PaxRecord {
  std::string_view key;
  std::string_view value;
};

inline constexpr std::string_view schily_xattr = "SCHILY.xattr.";
inline constexpr std::string_view libarchive_xattr = "LIBARCHIVE.xattr.";
inline constexpr std::string_view schily_acl_access = "SCHILY.acl.access";
inline constexpr std::string_view schily_acl_default = "SCHILY.acl.default";

/// Splits a whole payload; the views point into it. Throws Malformed.
void parse_pax(std::string_view payload, std::vector<PaxRecord>& into);
/// Appends one record.
void append_pax(std::string& payload, std::string_view key, std::string_view value);

/// Decimal digits and nothing else, up to 2^63-1.
std::optional<std::int64_t> parse_decimal(std::string_view text) noexcept;
/// "[-]SECONDS[.FRACTION]"; more than nine digits are rounded down, towards the past.
std::optional<Timestamp> parse_pax_time(std::string_view text) noexcept;
/// The shortest form: no fraction where there is none, no zeros at its end.
std::string format_pax_time(Timestamp time);

/// %XX → byte; a '%' before anything else stays.
std::string decode_percent(std::string_view text);
/// Everything but letters, digits and "-._" as %XX.
std::string encode_percent(std::string_view text);
/// With or without '=' at its end; nullopt: not base64.
std::optional<std::string> decode_base64(std::string_view text);
/// Without '=' at its end, as libarchive writes it.
std::string encode_base64(std::string_view bytes);

}  // namespace strata::detail
