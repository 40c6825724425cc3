#include "interrupt.hpp"

#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <string_view>

namespace layerctl {

namespace {

using Clock = std::chrono::steady_clock;

/// One wish to stop may come as several signals: timeout(1) signals its command and then the whole process group.
constexpr std::chrono::seconds same_wish{1};

[[noreturn]] void end_at_once() {
  constexpr std::string_view message = "layerctl: interrupted again: ended at once; the next import sweeps up\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, message.data(), message.size());
  ::_exit(1);
}

}  // namespace

Interrupt::Interrupt() {
  sigemptyset(&signals_);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    // A shell ignores signals for its background jobs; that is kept. A signal that is blocked and waited for would
    // arrive all the same.
    struct sigaction inherited {};
    sigaction(signal, nullptr, &inherited);
    if (inherited.sa_handler != SIG_IGN) sigaddset(&signals_, signal);
  }
  sigaddset(&signals_, SIGUSR1);  // by which the destructor ends the waiter
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
  waiter_ = std::jthread([this](const std::stop_token& ending) {
    Clock::time_point first;
    for (int signal = 0; sigwait(&signals_, &signal) == 0 && !ending.stop_requested();) {
      if (signal == SIGUSR1) continue;
      if (stop_.request_stop())
        first = Clock::now();
      else if (Clock::now() - first > same_wish)
        end_at_once();
    }
  });
}

Interrupt::~Interrupt() {
  waiter_.request_stop();
  pthread_kill(waiter_.native_handle(), SIGUSR1);
}

}  // namespace layerctl
