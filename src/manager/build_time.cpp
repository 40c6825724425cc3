#include "manager/build_time.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace strata::detail {

namespace {

[[noreturn]] void refuse_time(const std::string& text) {
  throw_error(errc::bad_argument, "use", quoted(text), "it is no time", "write it as 2024-01-31T12:00:00Z");
}

/// Seconds since 1970 of an RFC 3339 text; what is behind whole seconds is left out.
std::int64_t seconds_of(const std::string& text) {
  using namespace std::chrono;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0, end = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &s, &end) != 6 || end == 0)
    refuse_time(text);
  const year_month_day date{year(y), month(static_cast<unsigned>(mo)), day(static_cast<unsigned>(d))};
  if (!date.ok() || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 60) refuse_time(text);
  std::string zone = text.substr(static_cast<std::size_t>(end));
  if (zone.starts_with('.')) zone.erase(0, std::min(zone.find_first_not_of("0123456789", 1), zone.size()));
  int offset = 0;
  if (zone != "Z" && zone != "z") {
    char sign[2] = {};  // scanf ends it
    int zone_hours = 0, zone_minutes = 0, zone_end = 0;
    if (std::sscanf(zone.c_str(), "%1[+-]%2d:%2d%n", sign, &zone_hours, &zone_minutes, &zone_end) != 3 ||
        static_cast<std::size_t>(zone_end) != zone.size())
      refuse_time(text);
    offset = (sign[0] == '-' ? -1 : 1) * (zone_hours * 60 + zone_minutes) * 60;
  }
  const seconds time = sys_days(date).time_since_epoch() + hours(h) + minutes(mi) + seconds(s - offset);
  return time.count();
}

}  // namespace

BuildTime BuildTime::of(const std::string& wanted) {
  const char* const epoch = std::getenv("SOURCE_DATE_EPOCH");
  const std::string text = wanted.empty() ? now_rfc3339() : wanted;
  return {.text = text, .time = {seconds_of(text), 0}, .fixed = !wanted.empty() || (epoch && *epoch)};
}

}  // namespace strata::detail
