// The one time of a build.
#pragma once

#include <strata/tar.hpp>

#include <string>

namespace strata::detail {

struct BuildTime {
  std::string text;  ///< RFC 3339
  Timestamp time;
  bool fixed = false;  ///< by who builds, so that a second build has the same

  /// `wanted`: RFC 3339; empty: SOURCE_DATE_EPOCH, else now. Throws errc::bad_argument.
  static BuildTime of(const std::string& wanted);
};

}  // namespace strata::detail
