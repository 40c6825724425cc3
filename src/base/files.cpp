#include "base/files.hpp"

#include <strata/error.hpp>
#include <strata/file_descriptor.hpp>

#include "sys.hpp"

#include <charconv>
#include <chrono>
#include <cstdlib>

namespace strata::detail {

std::optional<std::string> read_small_file(int dir, const std::string& name, std::size_t limit) {
  FileDescriptor fd(sys::openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw_errno(errno, "read", quoted(name));
  }
  std::string content;
  char buffer[16384];
  for (;;) {
    const ssize_t n = sys::read(fd.get(), buffer, sizeof buffer);
    if (n < 0) throw_errno(errno, "read", quoted(name));
    if (n == 0) return content;
    content.append(buffer, static_cast<std::size_t>(n));
    if (content.size() > limit)
      throw_error(errc::limit_exceeded, "read", quoted(name), "it is larger than a record can be");
  }
}

void write_small_file(int dir, const std::string& name, std::string_view content) {
  FileDescriptor fd(sys::openat(dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  if (!fd) throw_errno(errno, "create", quoted(name));
  while (!content.empty()) {
    const ssize_t n = sys::write(fd.get(), content.data(), content.size());
    if (n < 0) throw_errno(errno, "write", quoted(name));
    content.remove_prefix(static_cast<std::size_t>(n));
  }
}

void write_note(int dir, const std::string& name, std::string_view text) {
  if (sys::symlinkat(std::string(text).c_str(), dir, name.c_str()) == 0) return;
  // ENAMETOOLONG: longer than this filesystem's symlinks (XFS: 1024 bytes); ENOENT: an empty one; EPERM: it has none.
  if (errno != ENAMETOOLONG && errno != ENOENT && errno != EPERM && errno != EOPNOTSUPP)
    throw_errno(errno, "create", quoted(name));
  write_small_file(dir, name, text);
}

std::optional<std::string> read_note(int dir, const std::string& name) {
  char text[4096];  // PATH_MAX: no target fills it
  const ssize_t size = sys::readlinkat(dir, name.c_str(), text, sizeof text);
  if (size >= 0) return std::string(text, static_cast<std::size_t>(size));
  if (errno == EINVAL) return read_small_file(dir, name);
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw_errno(errno, "read", quoted(name));
}

void sync_note(int dir, const std::string& name) {
  const FileDescriptor fd(sys::openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW));
  if (!fd && errno == ELOOP) return;
  if (!fd || sys::fsync(fd.get()) != 0) throw_errno(errno, "sync", quoted(name));
}

void make_directory(int dir, const std::string& name) {
  if (sys::mkdirat(dir, name.c_str(), 0700) != 0 && errno != EEXIST)
    throw_errno(errno, "create the directory", quoted(name));
}

void sync_file(int dir, const std::string& name) {
  const FileDescriptor fd(sys::openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW));
  if (!fd || sys::fsync(fd.get()) != 0) throw_errno(errno, "sync", quoted(name));
}

void sync_directory(int dir, std::string_view shown) {
  // An O_PATH descriptor can't be synced, so the directory is opened anew.
  FileDescriptor fd(sys::openat(dir, ".", O_RDONLY | O_DIRECTORY));
  if (!fd || sys::fsync(fd.get()) != 0) throw_errno(errno, "sync the directory", quoted(shown));
}

std::string random_name() {
  unsigned char bytes[12];
  std::size_t have = 0;
  while (have < sizeof bytes) {
    const ssize_t n = sys::getrandom(bytes + have, sizeof bytes - have);
    if (n < 0) throw_errno(errno, "get random bytes", "from the kernel");
    have += static_cast<std::size_t>(n);
  }
  std::string name;
  for (const unsigned char byte : bytes) {
    name += "0123456789abcdef"[byte >> 4];
    name += "0123456789abcdef"[byte & 15];
  }
  return name;
}

std::string rfc3339(std::time_t time) {
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string now_rfc3339() {
  std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  if (const char* epoch = std::getenv("SOURCE_DATE_EPOCH")) {
    const std::string_view text = epoch;
    long long seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error == std::errc() && end == text.data() + text.size()) now = static_cast<std::time_t>(seconds);
  }
  return rfc3339(now);
}

bool is_rfc3339(std::string_view text) {
  static constexpr std::string_view pattern = "dddd-dd-ddTdd:dd:dd";
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() <= pattern.size()) return false;
  for (std::size_t i = 0; i < pattern.size(); ++i)
    if (pattern[i] == 'd' ? !is_digit(text[i]) : text[i] != pattern[i]) return false;
  std::string_view rest = text.substr(pattern.size());
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    if (rest.empty() || !is_digit(rest.front())) return false;
    while (!rest.empty() && is_digit(rest.front())) rest.remove_prefix(1);
  }
  return rest == "Z" || (rest.size() == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':');
}

}  // namespace strata::detail
