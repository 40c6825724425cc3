#include "hook.hpp"

#include "sys.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <sstream>
#include <stdexcept>

namespace strata::test {

namespace {

constexpr std::size_t most_seen = 1U << 16;
constexpr std::size_t short_size = 509;  // of all transfers from then on: no divisor of anything

Fault fault;
std::atomic<std::size_t> count{0};
std::atomic<const char*> hit{nullptr};
std::atomic<int> hit_error{0};
std::array<const char*, most_seen> seen;

int error_for(const char* call) {
  const auto errnos = errnos_of(call);
  return errnos.empty() ? 0 : errnos[fault.variant % errnos.size()];
}

sys::Fate fate(const char* call) noexcept {
  const std::size_t number = ++count;
  if (fault.kind == Fault::Kind::none) {
    if (number <= most_seen) seen[number - 1] = call;
    return {};
  }
  const bool first = number == fault.call;
  if (first && fault.kind == Fault::Kind::kill) ::kill(::getpid(), SIGKILL);
  const bool lasting = fault.kind == Fault::Kind::from_then_on || fault.kind == Fault::Kind::short_from_then_on;
  const char* const before = hit.load();
  const bool later = lasting && before != nullptr && std::strcmp(before, call) == 0;
  if (!first && !later) return {};
  const bool is_short = fault.kind == Fault::Kind::short_once || fault.kind == Fault::Kind::short_from_then_on;
  if (is_short) {
    if (!transfers(call)) return {};
    hit = call;
    return {.error = 0, .at_most = lasting ? short_size : 1};
  }
  const int error = error_for(call);
  // A call that is retried until it is let through can't be interrupted for ever.
  if (error == 0 || (later && error == EINTR)) return {};
  hit = call;
  hit_error = error;
  return {.error = error};
}

constexpr std::array kinds = {"none", "once", "from_then_on", "short_once", "short_from_then_on", "kill"};

}  // namespace

std::string Fault::text() const {
  return std::string(kinds[static_cast<std::size_t>(kind)]) + " " + std::to_string(call) + " " +
         std::to_string(variant);
}

Fault Fault::parse(std::string_view text) {
  std::istringstream words{std::string(text)};
  std::string kind;
  Fault parsed;
  if (!(words >> kind >> parsed.call >> parsed.variant)) throw std::runtime_error("a point is \"KIND CALL VARIANT\"");
  const auto found = std::find(kinds.begin(), kinds.end(), kind);
  if (found == kinds.end()) throw std::runtime_error("no kind of fault: " + kind);
  parsed.kind = static_cast<Kind>(found - kinds.begin());
  return parsed;
}

std::string Suffered::text() const {
  if (call == nullptr) return "nothing went wrong";
  return std::string(call) + (error != 0 ? std::string(": ") + std::strerror(error) : " was short");
}

std::span<const int> errnos_of(std::string_view call) {
  struct Row {
    std::string_view calls;  // with a space after each
    std::vector<int> errnos;
  };
  // Most of what a call may say means the same to its caller: the ones that are likely, and those that are told apart.
  static const std::vector<Row> rows = {
      {"openat ", {EMFILE, EIO, ENFILE, EACCES, ENOSPC}},
      {"openat2 ", {EMFILE, EIO, EACCES, EAGAIN}},
      {"write pwrite ", {ENOSPC, EIO, EDQUOT, EINTR, EFBIG}},
      {"read pread ", {EIO, EINTR, EISDIR}},
      {"copy_file_range ", {ENOSPC, EIO, EXDEV, EINTR}},
      {"ftruncate ", {ENOSPC, EIO, EFBIG, EINTR}},
      {"mkdirat mknodat symlinkat ", {ENOSPC, EDQUOT, EIO}},
      {"linkat ", {ENOSPC, EMLINK, EIO}},
      {"renameat2 ", {ENOSPC, EIO}},
      {"unlinkat ", {EIO, EBUSY}},
      {"fsync syncfs ", {EIO, ENOSPC, EDQUOT}},
      {"fcntl_lock flock ", {ENOLCK, EINTR}},
      {"fsetxattr lsetxattr ", {ENOSPC, EIO}},
      {"fstat fstatat fstatfs statx lseek getdents64 readlinkat fchmod chmod fchown fchownat utimensat futimens "
       "fgetxattr lgetxattr flistxattr llistxattr lremovexattr ",
       {EIO, ENOMEM}},
      {"fremovexattr ", {EIO}},
      {"fchmodat2 ", {EIO, ENOSYS}},
      {"getrandom ", {EINTR}},
      {"unshare clone ", {EPERM, ENOMEM}},
      {"getxattrat listxattrat ", {EIO, ENOMEM}},
      {"statmount ", {ENOSYS, EIO}},
      {"name_to_handle_at ", {EOPNOTSUPP}},
      {"fsopen fsmount ", {EMFILE, ENOMEM}},
      {"fsconfig_flag fsconfig_string fsconfig_fd fsconfig_create ", {ENOMEM, EIO}},
      {"move_mount mount open_tree_clone mount_setattr ", {ENOMEM, EBUSY}},
      {"pipe2 ", {EMFILE}},
      {"umount2 ", {EBUSY, ENOMEM}},
      {"clone_file ", {EOPNOTSUPP, EIO}},
      {"chdir ioctl ", {EIO}},
      // What close says comes too late to matter (FileDescriptor), and uname can't fail.
      {"close uname ", {}},
  };
  const std::string wanted = std::string(call) + " ";
  for (const Row& row : rows) {
    const std::string_view calls = row.calls;
    const auto at = calls.find(wanted);
    if (at != calls.npos && (at == 0 || calls[at - 1] == ' ')) return row.errnos;
  }
  throw std::logic_error("no errnos are known of " + std::string(call) + ": add them to tests/faults/hook.cpp");
}

bool transfers(std::string_view call) {
  return call == "read" || call == "pread" || call == "write" || call == "pwrite" || call == "copy_file_range" ||
         call == "getrandom";
}

void arm(const Fault& wanted) {
  fault = wanted;
  count = 0;
  hit = nullptr;
  hit_error = 0;
  sys::hook = fate;
}

Suffered disarm() {
  sys::hook = nullptr;
  return {count, hit, hit_error};
}

std::vector<const char*> calls_seen() { return {seen.begin(), seen.begin() + std::min(count.load(), most_seen)}; }

std::vector<Fault> faults_of(const std::vector<const char*>& calls) {
  std::vector<Fault> faults;
  using Kind = Fault::Kind;
  for (std::size_t call = 1; call <= calls.size(); ++call) {
    const char* const name = calls[call - 1];
    const std::size_t errnos = errnos_of(name).size();
    for (std::size_t variant = 0; variant < errnos; ++variant) faults.push_back({Kind::once, call, variant});
    if (errnos != 0) faults.push_back({Kind::from_then_on, call, 0});
    if (transfers(name)) {
      faults.push_back({Kind::short_once, call, 0});
      faults.push_back({Kind::short_from_then_on, call, 0});
    }
    faults.push_back({Kind::kill, call, 0});
  }
  return faults;
}

}  // namespace strata::test
