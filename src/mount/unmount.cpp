#include "mount/unmount.hpp"

#include <strata/error.hpp>

#include "mount/holders.hpp"
#include "mount/sys_mount.hpp"

#include <boost/filesystem/operations.hpp>

namespace strata::detail {

void unmount_at(const std::string& target, std::string_view what) {
  if (sys::umount2(target.c_str(), UMOUNT_NOFOLLOW) == 0) return;
  const int number = errno;
  const std::string subject = std::string(what) + " on " + quoted(target);
  if (number == EINVAL) throw_error(errc::not_found, "unmount", subject, "nothing is mounted there");
  if (number != EBUSY) throw_errno(number, "unmount", subject);
  boost::system::error_code ignored;
  const auto real = boost::filesystem::canonical(target, ignored);
  const std::string holders = holders_of(ignored ? boost::filesystem::path(target) : real);
  throw_errno(EBUSY, "unmount", subject, holders.empty() ? "who uses it can't be seen" : "it is used by " + holders,
              "end what uses it, and try again");
}

}  // namespace strata::detail
