// Locks on files: open-file-description locks (Linux 3.15), which belong to the descriptor, exclude threads as well as
// processes, and die with their holder.
#pragma once

#include <strata/file_descriptor.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace strata::detail {

/// A held lock; released when it goes.
class Lock {
 public:
  enum class Kind { shared, exclusive };
  /// Opens (or creates, mode 0600) `name` in `dir` and waits for the lock. Throws Error.
  static Lock wait(int dir, const char* name, Kind kind);
  /// The same, but gives up at once where another holds it.
  static std::optional<Lock> attempt(int dir, const char* name, Kind kind);
  /// The same for one byte of the file, exclusively: locks on different bytes don't meet. There need be no such byte.
  static std::optional<Lock> attempt_byte(int dir, const char* name, std::uint64_t byte);
  /// A lock on an open file, which is held as long as that is open; a second one replaces the first. False: another
  /// holds it.
  static bool attempt_on(int fd, const std::string& name, Kind kind);

 private:
  explicit Lock(FileDescriptor fd) : fd_(std::move(fd)) {}
  FileDescriptor fd_;
};

}  // namespace strata::detail
