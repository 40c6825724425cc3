// One line on standard error that shows how far a call is.
#pragma once

#include <strata/progress.hpp>

#include <chrono>
#include <string>
#include <string_view>

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

}  // namespace layerctl
