// A system call of the transports that nobody else needs.
#pragma once

#include "sys.hpp"

#include <sys/file.h>

namespace strata::sys {

/// A lock on the open file, which may be a directory.
inline int flock(int fd, int operation) noexcept {
  return retry("flock", [&] { return ::flock(fd, operation); });
}

}  // namespace strata::sys
