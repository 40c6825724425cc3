#include "manager/pull_progress.hpp"

#include <algorithm>

namespace strata::detail {

using namespace std::chrono_literals;

ImageTeller::ImageTeller(const ImageControl& control, const std::vector<Descriptor>& layers) : control_(control) {
  for (const Descriptor& layer : layers) progress_.layers.push_back({.layer = layer});
}

void ImageTeller::expect(std::uint64_t size) {
  const std::lock_guard hold(mutex_);
  progress_.total_bytes += size;
}

bool ImageTeller::advance(LayerProgress& layer, Phase phase) {
  if (layer.phase == phase || layer.phase == Phase::existed || phase < layer.phase) return false;
  layer.phase = phase;
  return true;
}

void ImageTeller::blob(const Digest& blob, Phase phase, std::uint64_t bytes) {
  const std::lock_guard hold(mutex_);
  bool changed = false;
  for (LayerProgress& layer : progress_.layers) {
    if (layer.layer.digest != blob) continue;
    changed = advance(layer, phase) || changed;
    layer.bytes = std::max(layer.bytes, bytes);
  }
  tell(changed);
}

void ImageTeller::layer(std::size_t number, Phase phase, std::uint64_t entries) {
  const std::lock_guard hold(mutex_);
  LayerProgress& layer = progress_.layers[number];
  layer.entries = std::max(layer.entries, entries);
  tell(advance(layer, phase));
}

void ImageTeller::moved(std::uint64_t bytes) {
  const std::lock_guard hold(mutex_);
  progress_.bytes += bytes;
  progress_.total_bytes = std::max(progress_.total_bytes, progress_.bytes);
  tell(false);
}

void ImageTeller::done() {
  const std::lock_guard hold(mutex_);
  for (LayerProgress& layer : progress_.layers)
    if (advance(layer, Phase::done)) layer.bytes = layer.layer.size;
  progress_.left.reset();
  tell(true);
}

void ImageTeller::measure(Clock::time_point now) {
  if (!measured_) {
    measured_ = now;
    measured_bytes_ = progress_.bytes;
    return;
  }
  const std::chrono::duration<double> passed = now - *measured_;
  if (passed < 500ms) return;
  const double rate = static_cast<double>(progress_.bytes - measured_bytes_) / passed.count();
  // Each second forgets about a third of what was before: what a network gives changes, and not each moment.
  const double weight = std::min(1.0, passed.count() * 0.3);
  rate_ = rate_ <= 0 ? rate : rate_ + weight * (rate - rate_);
  measured_ = now;
  measured_bytes_ = progress_.bytes;
  progress_.left.reset();
  constexpr double slowest = 1;
  if (rate_ > slowest)
    progress_.left = std::chrono::seconds(
        static_cast<std::int64_t>(static_cast<double>(progress_.total_bytes - progress_.bytes) / rate_ + 0.5));
}

void ImageTeller::tell(bool at_once) {
  if (!control_.observer) return;
  const Clock::time_point now = Clock::now();
  measure(now);
  if (!at_once && told_ && now - *told_ < 100ms) return;
  told_ = now;
  control_.observer(progress_);
}

}  // namespace strata::detail
