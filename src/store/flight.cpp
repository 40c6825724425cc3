#include "store/flight.hpp"

#include <strata/error.hpp>

#include <algorithm>
#include <chrono>
#include <thread>

namespace strata::detail {

namespace {

std::uint64_t byte_of(const Digest& digest) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < std::min(sizeof number, digest.bytes().size()); ++i)
    number = number << 8 | std::to_integer<std::uint64_t>(digest.bytes()[i]);
  return number >> 2;  // a file's offset has a sign, and the last one no successor
}

}  // namespace

Flight::Flight(const StoreCore& core, const Digest& layer, const std::stop_token& stop) {
  using namespace std::chrono_literals;
  // A wait in the kernel could be ended only by a signal, which is not a library's to send.
  for (auto pause = 1ms; !(lock_ = Lock::attempt_byte(core.root_descriptor(), "flights.lock", byte_of(layer)));
       pause = std::min(2 * pause, 50ms)) {
    waited_ = true;
    if (stop.stop_requested()) throw_error(errc::cancelled, "wait for another import of", layer.to_string());
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace strata::detail
