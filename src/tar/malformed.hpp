// How the parts of the reader say that bytes break the format; TarReader adds which entry and where, as Error.
#pragma once

#include <strata/error.hpp>

#include <string>

namespace strata::detail {

struct Malformed {
  std::string detail;
  errc code = errc::bad_archive;
};

}  // namespace strata::detail
