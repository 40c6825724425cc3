#include <strata/file_descriptor.hpp>

#include "sys.hpp"

namespace strata {

void FileDescriptor::reset(int fd) noexcept {
  if (fd_ >= 0) {
    const int number = errno;  // a descriptor often goes on the way to the report of another call's errno
    sys::close(fd_);
    errno = number;
  }
  fd_ = fd;
}

}  // namespace strata
