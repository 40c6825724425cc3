#include "interrupt.hpp"

#include <pthread.h>
#include <unistd.h>

namespace layerctl {

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
    for (int signal = 0; sigwait(&signals_, &signal) == 0 && !ending.stop_requested();) {
      if (signal == SIGUSR1) continue;
      if (!stop_.request_stop()) _exit(1);
    }
  });
}

Interrupt::~Interrupt() {
  waiter_.request_stop();
  pthread_kill(waiter_.native_handle(), SIGUSR1);
}

}  // namespace layerctl
