#include "registry/retries.hpp"

#include <strata/error.hpp>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <random>

namespace strata::detail {

bool is_passing(int status) {
  return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

bool wait_for(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

void Retries::wait(const std::string& what, std::optional<std::chrono::seconds> asked, const std::stop_token& stop) {
  using std::chrono::milliseconds;
  thread_local std::minstd_rand random{std::random_device{}()};
  const milliseconds most = options_.most_delay;
  milliseconds time = std::min(most, options_.first_delay * (std::int64_t{1} << std::min(done_, 20)));
  time -= milliseconds(std::uniform_int_distribution<std::int64_t>(0, time.count() / 2)(random));
  if (asked) time = std::clamp<milliseconds>(*asked, time, std::max(most, time));
  ++done_;
  if (options_.on_retry)
    options_.on_retry(what + "; try " + std::to_string(done_) + " of " + std::to_string(most_) + " in " +
                      std::to_string(time.count()) + " ms");
  if (!wait_for(time, stop)) throw_error(errc::cancelled, "wait for", "a registry");
}

}  // namespace strata::detail
