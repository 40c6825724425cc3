// One line on standard error that shows how far a call is, or several that run together.
#pragma once

#include <strata/progress.hpp>

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace layerctl {

/// Draws only where standard error is a terminal and `wanted`; wipes its line when it goes.
class ProgressBar {
 public:
  ProgressBar(std::string_view verb, bool wanted);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(const strata::Progress& progress);

 private:
  std::string verb_;
  bool active_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point next_;
};

/// Calls that run at the same time, watched as one.
class SumOfProgress {
 public:
  SumOfProgress(const strata::Control& whole, std::size_t parts) : whole_(whole), parts_(parts) {}
  /// What the part's call is given; this outlives the call.
  strata::Control part(std::size_t index);

 private:
  const strata::Control& whole_;
  std::mutex mutex_;
  std::vector<strata::Progress> parts_;
};

}  // namespace layerctl
