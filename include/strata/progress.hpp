// Watching and stopping long work. A Control is handed to every call that can take long: an observer that is told
// how far the work is, and a std::stop_token that ends it with errc::cancelled, nothing left behind.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>

namespace strata {

/// How far a call is. Counters only grow within a call.
struct Progress {
  enum class Phase { reading, resolving, syncing, publishing, verifying, writing, removing };
  Phase phase = Phase::reading;
  std::uint64_t bytes = 0;        ///< bytes taken from (or, when writing, given to) the outer stream
  std::uint64_t total_bytes = 0;  ///< what `bytes` will reach, 0 where that isn't known
  std::uint64_t tar_bytes = 0;    ///< bytes of the uncompressed tar
  std::uint64_t entries = 0;      ///< tar entries, or files, done; when removing, trees
};

/// Held by value in the options of a call. The observer is called from one thread at a time, not always the
/// caller's, about every 256 KiB and at each change of phase; it must not call back into the same object. An
/// exception that it throws ends the work as an error would.
struct Control {
  std::function<void(const Progress&)> observer = {};
  std::stop_token stop = {};
};

}  // namespace strata
