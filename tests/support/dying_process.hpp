// Work of a process that ends in the middle of it.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <stdexcept>

namespace strata::test {

/// Runs `work` in a process of its own, which then ends without any destructor of what is static there. To be called
/// while there is no other thread.
inline void in_dying_process(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    try {
      work();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) throw std::runtime_error("the process failed");
}

}  // namespace strata::test
