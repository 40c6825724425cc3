// When a request is made again, and how long that waits.
#pragma once

#include <strata/transport/registry.hpp>

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

namespace strata::detail {

/// Whether an answer of this status may be another one later: 429, 500, 502, 503, 504.
bool is_passing(int status);

/// Waits; false where the stop token came first.
bool wait_for(std::chrono::milliseconds time, const std::stop_token& stop);

/// Of one request, or one transfer. Used by one thread. `options` outlives it.
class Retries {
 public:
  /// `most`: where it is not options.retries.
  explicit Retries(const RegistryOptions& options, std::optional<int> most = {})
      : options_(options), most_(most.value_or(options.retries)) {}

  bool left() const { return done_ < most_; }
  /// Waits, `what` saying why: twice as long each time, less up to half of it by chance, so that many who failed
  /// together don't come back together; or as long as the server asks for. Throws errc::cancelled.
  void wait(const std::string& what, std::optional<std::chrono::seconds> asked, const std::stop_token& stop);
  /// Something came: whatever breaks now is a new failure.
  void made_headway() { done_ = 0; }

 private:
  const RegistryOptions& options_;
  int most_;
  int done_ = 0;
};

}  // namespace strata::detail
