// What the floor programs share: clocks, errors, and the line that each prints.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

namespace floors {

inline double seconds_of(const timespec& time) {
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}
inline double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

inline double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return seconds_of(time);
}

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

[[noreturn]] inline void usage(const char* text) {
  std::fprintf(stderr, "usage: %s\n", text);
  std::exit(2);
}

/// Runs `work` by the clock and prints a line: name, seconds, user and system seconds of all threads, and what `work`
/// says it did (bytes or entries), separated by tabs.
inline void measure(const std::string& name, const std::function<std::uint64_t()>& work) {
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const double start = now();
  const std::uint64_t done = work();
  const double wall = now() - start;
  getrusage(RUSAGE_SELF, &after);
  std::printf("%s\t%.6f\t%.6f\t%.6f\t%llu\n", name.c_str(), wall,
              seconds_of(after.ru_utime) - seconds_of(before.ru_utime),
              seconds_of(after.ru_stime) - seconds_of(before.ru_stime), static_cast<unsigned long long>(done));
}

}  // namespace floors
