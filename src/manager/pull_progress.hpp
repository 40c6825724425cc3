// How far a pull, or a push, is: told to its observer by one thread at a time, at each change of a phase and at most
// ten times a second between.
#pragma once

#include <strata/layer_source.hpp>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

namespace strata::detail {

class ImageTeller {
 public:
  ImageTeller(const ImageControl& control, const std::vector<Descriptor>& layers);

  using Phase = LayerProgress::Phase;
  /// A layer whose blob, of this size, has to be transferred, once however many layers have it.
  void expect(std::uint64_t size);
  /// Of the layers with this blob. A phase never goes back.
  void blob(const Digest& blob, Phase phase, std::uint64_t bytes);
  /// Of a layer by its number.
  void layer(std::size_t number, Phase phase, std::uint64_t entries);
  /// Bytes of the expected that have come.
  void moved(std::uint64_t bytes);
  /// All layers are where they belong.
  void done();

 private:
  using Clock = std::chrono::steady_clock;
  bool advance(LayerProgress& layer, Phase phase);
  void tell(bool at_once);
  void measure(Clock::time_point now);

  const ImageControl& control_;
  std::mutex mutex_;
  ImageProgress progress_;
  std::optional<Clock::time_point> told_, measured_;
  std::uint64_t measured_bytes_ = 0;
  double rate_ = 0;  ///< bytes a second, smoothed
};

}  // namespace strata::detail
