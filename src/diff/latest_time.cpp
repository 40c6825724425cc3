#include "diff/latest_time.hpp"

#include <strata/error.hpp>

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace strata::detail {

std::optional<std::int64_t> latest_time(const DiffOptions& options) {
  if (options.latest_time) return options.latest_time;
  const char* const text = std::getenv("SOURCE_DATE_EPOCH");
  if (!text || !*text) return std::nullopt;
  std::int64_t seconds = 0;
  const char* const end = text + std::strlen(text);
  if (const auto [at, error] = std::from_chars(text, end, seconds); error != std::errc() || at != end)
    throw_error(errc::bad_argument, "read SOURCE_DATE_EPOCH", quoted(text), "it is no number of seconds");
  return seconds;
}

}  // namespace strata::detail
