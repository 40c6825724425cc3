// A process beside the test's own that does something, and then waits until it is ended.
#pragma once

#include <csignal>
#include <cstdio>
#include <functional>

#include <sys/wait.h>
#include <unistd.h>

namespace strata::test {

class OtherProcess {
 public:
  /// Runs `begin` in a child, and waits until it has returned: ready() is what it returned. What it made lasts as long
  /// as this object, but for a child that it makes by exec, which doesn't return.
  explicit OtherProcess(const std::function<bool()>& begin) {
    int ends[2];
    if (::pipe(ends) != 0) return;
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[0]);
      if (begin() && ::write(ends[1], "x", 1) == 1) ::pause();
      ::_exit(1);
    }
    ::close(ends[1]);
    char byte;
    ready_ = pid_ > 0 && ::read(ends[0], &byte, 1) == 1;
    ::close(ends[0]);
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  ~OtherProcess() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  bool ready() const { return ready_; }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  bool ready_ = false;
};

}  // namespace strata::test
