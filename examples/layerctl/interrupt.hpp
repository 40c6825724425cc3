// Ctrl-C as a stop token: the first signal asks for a clean end, one that comes later ends the process at once.
#pragma once

#include <csignal>
#include <stop_token>
#include <thread>

namespace layerctl {

/// Make it before any other thread: it blocks SIGINT, SIGTERM and SIGHUP, which threads made later inherit, and waits
/// for them in a thread of its own.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  std::stop_token token() const { return stop_.get_token(); }

 private:
  sigset_t signals_{};
  std::stop_source stop_;
  std::jthread waiter_;
};

}  // namespace layerctl
