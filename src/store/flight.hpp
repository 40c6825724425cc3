// One import of a layer at a time, of all threads and processes: the others wait for it, and find the layer stored.
//
// Each layer has a byte of ROOT/flights.lock, by its digest. A lock on it dies with its holder, and nothing has to be
// removed afterwards. Two layers that share a byte wait for each other in vain, which at 2^62 bytes none will see.
#pragma once

#include <strata/digest.hpp>

#include "store/core.hpp"

#include <stop_token>

namespace strata::detail {

class Flight {
 public:
  /// Waits until nobody else has it. Throws errc::cancelled. Whoever takes several must take them in an order that all
  /// others keep to.
  Flight(const StoreCore& core, const Digest& layer, const std::stop_token& stop);
  /// Whether another had it first: then the layer may be stored now.
  bool waited() const { return waited_; }

 private:
  std::optional<Lock> lock_;
  bool waited_ = false;
};

}  // namespace strata::detail
