// How far an image's layers are, on standard error: a block of lines on a terminal, a line for each finished layer
// elsewhere.
#pragma once

#include <strata/layer_source.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace layerctl {

/// What the block looks like: a bar for each layer that is on its way, as many as there is room for, and last the sum.
/// No line is wider than `width`.
std::vector<std::string> progress_lines(std::string_view verb, const strata::ImageProgress& progress, std::size_t width,
                                        std::size_t height);

/// Draws the block anew over the last one; wipes it when it goes.
class ImageProgressBars {
 public:
  ImageProgressBars(std::string_view verb, bool wanted);
  ~ImageProgressBars();
  ImageProgressBars(const ImageProgressBars&) = delete;
  ImageProgressBars& operator=(const ImageProgressBars&) = delete;

  void show(const strata::ImageProgress& progress);

 private:
  void draw(const strata::ImageProgress& progress);
  void say_finished(const strata::ImageProgress& progress);

  std::string verb_;
  bool wanted_, terminal_;
  std::size_t drawn_ = 0;  // lines
  std::vector<bool> said_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace layerctl
