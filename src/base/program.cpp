#include "base/program.hpp"

#include <strata/error.hpp>
#include <strata/file_descriptor.hpp>

#include "sys.hpp"

#include <sys/mman.h>
#include <sys/wait.h>

#include <spawn.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <utility>

extern char** environ;

namespace strata::detail {
namespace {

/// What a program starts with.
class Inheritance {
 public:
  /// -1: /dev/null.
  Inheritance(int input, int output, int errors, const std::vector<int>& kept) {
    ::posix_spawn_file_actions_init(&actions_);
    for (const auto& [number, fd] : {std::pair{0, input}, {1, output}, {2, errors}}) {
      if (fd < 0)
        ::posix_spawn_file_actions_addopen(&actions_, number, "/dev/null", O_RDWR, 0);
      else
        ::posix_spawn_file_actions_adddup2(&actions_, fd, number);
    }
    // Upon itself: then it isn't closed. What a host has open without O_CLOEXEC is nobody else's.
    int last = 2;
    for (const int fd : kept) last = std::max(last, fd);
    for (int fd = 3; fd <= last; ++fd) {
      if (std::ranges::find(kept, fd) != kept.end())
        ::posix_spawn_file_actions_adddup2(&actions_, fd, fd);
      else
        ::posix_spawn_file_actions_addclose(&actions_, fd);
    }
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, last + 1);
    // Signals that the host blocks or ignores would never end it.
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
  }
  Inheritance(const Inheritance&) = delete;
  Inheritance& operator=(const Inheritance&) = delete;
  ~Inheritance() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

/// In memory: a file and no pipe, so that nobody waits for the other, whatever the program does with it.
FileDescriptor memory_file(const std::string& program) {
  FileDescriptor file(sys::once("memfd_create", [] { return ::memfd_create("program", MFD_CLOEXEC); }));
  if (!file) throw_errno(errno, "run", quoted(program));
  return file;
}

pid_t start(const std::vector<std::string>& arguments, const Inheritance& inheritance) {
  std::vector<char*> words;
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  pid_t child = -1;
  const int number = sys::once("posix_spawn", [&] {
    errno =
        ::posix_spawnp(&child, words.front(), inheritance.actions(), inheritance.attributes(), words.data(), environ);
    return errno == 0 ? 0 : -1;
  });
  if (number != 0) throw_errno(errno, "run", quoted(arguments.front()));
  return child;
}

/// waitpid; the result's status is -1 where the host takes its children.
pid_t wait_for(pid_t child, int options, ProgramResult& result) {
  int status = 0;
  pid_t ended;
  do ended = ::waitpid(child, &status, options);
  while (ended < 0 && errno == EINTR);
  result.status = ended < 0 ? -1 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  return ended;
}

std::string beginning_of(const FileDescriptor& file, std::size_t most) {
  std::string text(most, '\0');
  const ssize_t size = sys::pread(file.get(), text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& arguments, const std::vector<int>& kept) {
  const FileDescriptor output = memory_file(arguments.front());
  const pid_t child = start(arguments, Inheritance(-1, output.get(), output.get(), kept));
  ProgramResult result;
  wait_for(child, 0, result);
  result.said = beginning_of(output, 4096);
  return result;
}

ProgramResult ask_program(const std::vector<std::string>& arguments, const std::string& question,
                          std::chrono::milliseconds time, const std::stop_token& stop) {
  const FileDescriptor input = memory_file(arguments.front());
  const FileDescriptor output = memory_file(arguments.front());
  const ssize_t written = sys::pwrite(input.get(), question.data(), question.size(), 0);
  if (written != static_cast<ssize_t>(question.size()))
    throw_errno(written < 0 ? errno : EIO, "run", quoted(arguments.front()));
  const pid_t child = start(arguments, Inheritance(input.get(), output.get(), -1, {}));
  ProgramResult result;
  const auto end = std::chrono::steady_clock::now() + time;
  while (wait_for(child, WNOHANG, result) == 0) {
    const bool stopped = stop.stop_requested();
    if (!stopped && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      continue;
    }
    ::kill(child, SIGKILL);
    wait_for(child, 0, result);
    throw_error(stopped ? errc::cancelled : errc::limit_exceeded, "run", quoted(arguments.front()),
                stopped ? "" : "it took longer than " + std::to_string(time.count()) + " ms");
  }
  result.said = beginning_of(output, 64U << 10);
  return result;
}

std::string find_program(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin:/usr/sbin:/sbin";
  for (;;) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string candidate = std::string(rest.substr(0, end)) + "/" + name;
    if (end != 0 && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    if (end == rest.size()) return {};
    rest.remove_prefix(end + 1);
  }
}

}  // namespace strata::detail
