#include "progress_bar.hpp"

#include "text.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace layerctl {

namespace {

constexpr std::string_view name_of(strata::Progress::Phase phase) {
  using Phase = strata::Progress::Phase;
  switch (phase) {
    case Phase::reading:
      return "reading";
    case Phase::resolving:
      return "resolving";
    case Phase::syncing:
      return "syncing";
    case Phase::publishing:
      return "publishing";
    case Phase::verifying:
      return "verifying";
    case Phase::writing:
      return "writing";
    case Phase::removing:
      return "removing";
  }
  return "";
}

}  // namespace

// The first line appears only after a moment: what is done at once needs no bar.
ProgressBar::ProgressBar(std::string_view verb, bool wanted)
    : verb_(verb),
      active_(wanted && isatty(STDERR_FILENO) != 0),
      next_(std::chrono::steady_clock::now() + std::chrono::milliseconds(200)) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::cerr << "\r\x1b[K" << std::flush;
}

void ProgressBar::show(const strata::Progress& progress) {
  const auto now = std::chrono::steady_clock::now();
  if (!active_ || now < next_) return;
  next_ = now + std::chrono::milliseconds(100);
  drawn_ = true;

  std::string line = verb_ + ": " + std::string(name_of(progress.phase)) + ' ';
  if (progress.total_bytes > 0) {
    constexpr std::uint64_t bar_width = 30;
    const double part = std::min(1.0, static_cast<double>(progress.bytes) / static_cast<double>(progress.total_bytes));
    const auto filled = static_cast<std::size_t>(part * bar_width);
    line += '[' + std::string(filled, '=') + std::string(bar_width - filled, ' ') + "] " + human_size(progress.bytes) +
            " of " + human_size(progress.total_bytes);
  } else {
    line += human_size(progress.bytes);
  }
  line += ", " + std::to_string(progress.entries) + " files";
  std::cerr << '\r' << line << "\x1b[K" << std::flush;
}

strata::Control SumOfProgress::part(std::size_t index) {
  strata::Control control{.stop = whole_.stop};
  if (whole_.observer)
    control.observer = [this, index](const strata::Progress& progress) {
      const std::lock_guard hold(mutex_);
      parts_[index] = progress;
      strata::Progress sum{.phase = progress.phase};
      for (const strata::Progress& part : parts_) {
        sum.bytes += part.bytes;
        sum.total_bytes += part.total_bytes;
        sum.tar_bytes += part.tar_bytes;
        sum.entries += part.entries;
      }
      whole_.observer(sum);
    };
  return control;
}

}  // namespace layerctl
