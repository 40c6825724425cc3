// What the kernel says about a mount that it refuses.
#pragma once

#include <strata/file_descriptor.hpp>

#include <string>
#include <string_view>

namespace strata::detail {

/// The kernel's log from the moment of construction on: overlayfs explains many refusals only there. Readable with
/// CAP_SYSLOG or where kernel.dmesg_restrict is 0; else there is nothing in it. Shared by the whole machine: a line of
/// another mount at the same instant can't be told from one's own.
class KernelLog {
 public:
  KernelLog();
  /// The lines that began with this since, without it, joined by "; ".
  std::string lines(std::string_view prefix);
  std::string overlay_lines() { return lines("overlayfs: "); }

 private:
  FileDescriptor fd_;
};

/// The messages of a filesystem context (fsopen), without their prefix, joined by "; ".
std::string context_messages(int context);

}  // namespace strata::detail
