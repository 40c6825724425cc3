#include "image_progress.hpp"

#include "text.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace layerctl {

namespace {

using Phase = strata::LayerProgress::Phase;

constexpr std::string_view name_of(Phase phase) {
  switch (phase) {
    case Phase::waiting:
      return "waiting";
    case Phase::transferring:
      return "transferring";
    case Phase::storing:
      return "storing";
    case Phase::done:
      return "done";
    case Phase::existed:
      return "is there already";
  }
  return "";
}

constexpr bool is_finished(Phase phase) { return phase == Phase::done || phase == Phase::existed; }

std::string bar(std::uint64_t bytes, std::uint64_t total, std::size_t width) {
  const double part = total == 0 ? 1 : std::min(1.0, static_cast<double>(bytes) / static_cast<double>(total));
  const auto filled = static_cast<std::size_t>(part * static_cast<double>(width));
  return '[' + std::string(filled, '=') + std::string(width - filled, ' ') + "] ";
}

std::string human_time(std::chrono::seconds time) {
  const auto seconds = time.count();
  if (seconds < 60) return std::to_string(seconds) + " s";
  if (seconds < 3600) return std::to_string(seconds / 60) + " min " + std::to_string(seconds % 60) + " s";
  return std::to_string(seconds / 3600) + " h " + std::to_string(seconds / 60 % 60) + " min";
}

std::string layer_line(const strata::LayerProgress& layer, std::size_t width) {
  std::string numbers = human_size(layer.bytes) + " of " + human_size(layer.layer.size);
  if (layer.phase == Phase::storing) numbers = "storing, " + std::to_string(layer.entries) + " files";
  // "0123456789ab [====  ] 12.3 MiB of 45.6 MiB": the bar is the first to go where there is no room.
  const std::size_t beside = 12 + 1 + 3 + 24;
  const std::size_t bar_width = width > beside + 5 ? std::min<std::size_t>(40, width - beside) : 0;
  return short_id(layer.layer.digest) + ' ' + (bar_width == 0 ? "" : bar(layer.bytes, layer.layer.size, bar_width)) +
         numbers;
}

std::string sum_line(std::string_view verb, const strata::ImageProgress& progress) {
  const auto finished = std::ranges::count_if(progress.layers, is_finished, &strata::LayerProgress::phase);
  std::string line = std::string(verb) + ": " + std::to_string(finished) + " of " +
                     std::to_string(progress.layers.size()) + " layers, " + human_size(progress.bytes) + " of " +
                     human_size(progress.total_bytes);
  if (progress.left) line += ", " + human_time(*progress.left) + " left";
  return line;
}

}  // namespace

std::vector<std::string> progress_lines(std::string_view verb, const strata::ImageProgress& progress, std::size_t width,
                                        std::size_t height) {
  std::vector<std::string> lines;
  const std::size_t room = std::max<std::size_t>(height, 2) - 1;
  std::size_t more = 0;
  for (const strata::LayerProgress& layer : progress.layers) {
    if (layer.phase != Phase::transferring && layer.phase != Phase::storing) continue;
    if (lines.size() < room)
      lines.push_back(layer_line(layer, width));
    else
      ++more;
  }
  lines.push_back(sum_line(verb, progress) + (more == 0 ? "" : ", " + std::to_string(more) + " more at work"));
  for (std::string& line : lines) line.resize(std::min(line.size(), width));
  return lines;
}

// The first block appears only after a moment: what is done at once needs none.
ImageProgressBars::ImageProgressBars(std::string_view verb, bool wanted)
    : verb_(verb),
      wanted_(wanted),
      terminal_(isatty(STDERR_FILENO) != 0),
      next_(std::chrono::steady_clock::now() + std::chrono::milliseconds(200)) {}

ImageProgressBars::~ImageProgressBars() {
  if (drawn_ != 0) std::cerr << "\x1b[" << drawn_ << "A\r\x1b[J" << std::flush;
}

void ImageProgressBars::show(const strata::ImageProgress& progress) {
  if (!wanted_) return;
  terminal_ ? draw(progress) : say_finished(progress);
}

void ImageProgressBars::draw(const strata::ImageProgress& progress) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  winsize size{};
  ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
  // A line that fills the last column would wrap on some terminals.
  const std::size_t width = size.ws_col == 0 ? 79 : std::max<std::size_t>(size.ws_col, 2) - 1;
  const std::size_t height = size.ws_row == 0 ? 10 : std::max<std::size_t>(size.ws_row, 2) - 1;
  std::string block = drawn_ == 0 ? "" : "\x1b[" + std::to_string(drawn_) + "A\r";
  const auto lines = progress_lines(verb_, progress, width, height);
  for (const std::string& line : lines) block += line + "\x1b[K\n";
  std::cerr << block + "\x1b[J" << std::flush;
  drawn_ = lines.size();
}

void ImageProgressBars::say_finished(const strata::ImageProgress& progress) {
  said_.resize(std::max(said_.size(), progress.layers.size()));
  for (std::size_t i = 0; i < progress.layers.size(); ++i) {
    const strata::LayerProgress& layer = progress.layers[i];
    if (said_[i] || !is_finished(layer.phase)) continue;
    said_[i] = true;
    std::cerr << verb_ + ": layer " + std::to_string(i + 1) + " of " + std::to_string(progress.layers.size()) + ", " +
                     short_id(layer.layer.digest) + ", " + human_size(layer.layer.size) + ": " +
                     std::string(name_of(layer.phase)) + '\n';
  }
}

}  // namespace layerctl
