// Faults at will: which of the system calls that strata makes goes wrong, and how. Calls are counted over all threads,
// so that a number names a call as exactly as the threads let it.
#pragma once

#include <atomic>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::test {

/// What one run suffers.
struct Fault {
  enum class Kind {
    none,
    once,          ///< the call fails with an errno
    from_then_on,  ///< it fails, and with it all later ones of its name
    short_once,    ///< it transfers a byte
    short_from_then_on,
    kill,  ///< the process ends instead of it, by SIGKILL
  };
  Kind kind = Kind::none;
  std::size_t call = 0;     ///< 1 is the first
  std::size_t variant = 0;  ///< which errno, of those that this call may fail with

  /// "once 12 2", as --point takes it.
  std::string text() const;
  static Fault parse(std::string_view text);
};

/// What came of it.
struct Suffered {
  std::size_t calls = 0;       ///< that were made
  const char* call = nullptr;  ///< the one that went wrong; null: none did
  int error = 0;
  std::string_view name() const { return call == nullptr ? "" : call; }
  std::string text() const;
};

/// The errnos that a call may well fail with, on a local filesystem that is full, broken, or shut.
std::span<const int> errnos_of(std::string_view call);
bool transfers(std::string_view call);

/// From here on strata's calls suffer it; until disarm().
void arm(const Fault& fault);
Suffered disarm();
/// The names of the calls that `arm({})` has seen, in their order; for after disarm().
std::vector<const char*> calls_seen();

/// Each fault that such a run can suffer.
std::vector<Fault> faults_of(const std::vector<const char*>& calls);

}  // namespace strata::test
