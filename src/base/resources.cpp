#include "base/resources.hpp"

#include <cerrno>

namespace strata::detail {

std::string_view remedy_of(int number) noexcept {
  switch (number) {
    case ENOSPC:
      return "make room on the filesystem: bytes (df) and inodes (df -i)";
    case EDQUOT:
      return "remove files of this user, or have the disk quota raised";
    case EFBIG:
      return "raise the limit on the size of files (ulimit -f), or use a filesystem that holds larger ones";
    case EROFS:
      return "mount the filesystem writable";
    case EMFILE:
      return "raise the limit of open files (ulimit -n)";
    case ENFILE:
      return "raise the system's limit of open files (sysctl fs.file-max), or end what holds them";
    case ENOMEM:
      return "free memory, or raise the limit of it";
    case ENOLCK:
      return "use a filesystem that can lock files, or end what holds the system's locks";
    default:
      return {};
  }
}

bool is_shortage(const boost::system::error_code& code) noexcept {
  if (code.category() != boost::system::system_category() && code.category() != boost::system::generic_category())
    return false;
  switch (code.value()) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
    case EINTR:
    case ENOLCK:
      return true;
    default:
      return false;
  }
}

}  // namespace strata::detail
