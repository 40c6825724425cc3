#include "base/program.hpp"

#include <strata/error.hpp>
#include <strata/file_descriptor.hpp>

#include "sys.hpp"

#include <sys/mman.h>
#include <sys/wait.h>

#include <spawn.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <string_view>

extern char** environ;

namespace strata::detail {
namespace {

/// What a program starts with.
class Inheritance {
 public:
  Inheritance(int output, const std::vector<int>& kept) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, output, 1);
    ::posix_spawn_file_actions_adddup2(&actions_, output, 2);
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

}  // namespace

ProgramResult run_program(const std::vector<std::string>& arguments, const std::vector<int>& kept) {
  // A file and no pipe, so that nobody waits for the other, whatever the program does with it.
  const FileDescriptor output(sys::once("memfd_create", [] { return ::memfd_create("output", MFD_CLOEXEC); }));
  if (!output) throw_errno(errno, "run", quoted(arguments.front()));
  std::vector<char*> words;
  for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
  words.push_back(nullptr);
  const Inheritance inheritance(output.get(), kept);
  pid_t child = -1;
  const int number = sys::once("posix_spawn", [&] {
    errno =
        ::posix_spawnp(&child, words.front(), inheritance.actions(), inheritance.attributes(), words.data(), environ);
    return errno == 0 ? 0 : -1;
  });
  if (number != 0) throw_errno(errno, "run", quoted(arguments.front()));

  ProgramResult result;
  int status = 0;
  pid_t ended;
  do ended = ::waitpid(child, &status, 0);
  while (ended < 0 && errno == EINTR);
  result.status = ended < 0 ? -1 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  std::array<char, 4096> text;
  const ssize_t size = sys::pread(output.get(), text.data(), text.size(), 0);
  if (size > 0) result.said.assign(text.data(), static_cast<std::size_t>(size));
  while (result.said.ends_with('\n')) result.said.pop_back();
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
