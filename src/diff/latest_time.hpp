// From which time on a diff clamps times (D10).
#pragma once

#include <strata/diff_writer.hpp>

#include <cstdint>
#include <optional>

namespace strata::detail {

/// What the caller says, else SOURCE_DATE_EPOCH (reproducible-builds.org): seconds since 1970, in decimal. Throws
/// errc::bad_argument where that is no number.
std::optional<std::int64_t> latest_time(const DiffOptions& options);

}  // namespace strata::detail
