#include "mount/kernel_log.hpp"

#include "mount/sys_mount.hpp"

#include <string_view>

namespace strata::detail {
namespace {

void append_line(std::string& lines, std::string_view line) {
  if (line.empty()) return;
  if (!lines.empty()) lines += "; ";
  lines += line;
}

}  // namespace

KernelLog::KernelLog() : fd_(sys::openat(AT_FDCWD, "/dev/kmsg", O_RDONLY | O_NONBLOCK)) {
  if (fd_) sys::lseek(fd_.get(), 0, SEEK_END);
}

std::string KernelLog::lines(std::string_view prefix) {
  std::string lines;
  char record[8192];  // CONSOLE_EXT_LOG_MAX: one read is one record, "PRIORITY,SEQUENCE,TIME,FLAGS;TEXT\n KEY=VALUE…"
  while (fd_) {
    const ssize_t got = sys::read(fd_.get(), record, sizeof record);
    if (got < 0 && errno == EPIPE) continue;  // records were overwritten before they were read
    if (got <= 0) break;
    std::string_view text(record, static_cast<std::size_t>(got));
    text = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.find(';') + 1, text.size()));
    if (text.starts_with(prefix)) append_line(lines, text.substr(prefix.size()));
  }
  return lines;
}

// Each read gives one message: a letter for its level, a space, and the text ("e overlay: …"). ENODATA ends them.
std::string context_messages(int context) {
  std::string lines;
  char message[4096];
  for (;;) {
    const ssize_t got = sys::read(context, message, sizeof message);
    if (got <= 0) return lines;
    std::string_view text(message, static_cast<std::size_t>(got));
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (text.size() > 2 && text[1] == ' ') text.remove_prefix(2);
    if (text.starts_with("overlay: ")) text.remove_prefix(9);
    append_line(lines, text);
  }
}

}  // namespace strata::detail
