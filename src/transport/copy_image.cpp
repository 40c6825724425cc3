#include <strata/error.hpp>
#include <strata/layer_source.hpp>

#include "transport/image_plan.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace strata {

namespace {

using Phase = LayerProgress::Phase;

/// Tells a host how far all layers are: each change of a phase, and now and then what came.
class Watch {
 public:
  Watch(const std::vector<Descriptor>& layers, const ImageControl& control) : control_(control) {
    for (const Descriptor& layer : layers) {
      now_.layers.push_back({.layer = layer});
      now_.total_bytes += layer.size;
    }
  }

  void phase(std::size_t layer, Phase phase) {
    const std::lock_guard lock(mutex_);
    LayerProgress& one = now_.layers[layer];
    one.phase = phase;
    if (phase == Phase::existed) now_.total_bytes -= std::min(now_.total_bytes, one.layer.size);
    tell();
  }

  void bytes(std::size_t layer, std::size_t more) {
    const std::lock_guard lock(mutex_);
    now_.layers[layer].bytes += more;
    now_.bytes += more;
    if (std::chrono::steady_clock::now() - told_ >= std::chrono::milliseconds(100)) tell();
  }

 private:
  void tell() {
    if (!control_.observer) return;
    told_ = std::chrono::steady_clock::now();
    now_.left.reset();
    const double passed = std::chrono::duration<double>(told_ - begun_).count();
    if (now_.bytes != 0 && passed >= 1 && now_.total_bytes >= now_.bytes)
      now_.left = std::chrono::seconds(static_cast<std::int64_t>(passed / static_cast<double>(now_.bytes) *
                                                                 static_cast<double>(now_.total_bytes - now_.bytes)));
    control_.observer(now_);
  }

  const ImageControl& control_;
  std::mutex mutex_;
  ImageProgress now_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point told_ = begun_;
};

/// A blob on its way, whose bytes are told.
class WatchedSource final : public ByteSource {
 public:
  WatchedSource(ByteSource& from, Watch& watch, std::size_t layer) : from_(from), watch_(watch), layer_(layer) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t n = from_.read(into);
    watch_.bytes(layer_, n);
    return n;
  }
  std::optional<std::uint64_t> size() const override { return from_.size(); }
  std::string name() const override { return from_.name(); }

 private:
  ByteSource& from_;
  Watch& watch_;
  std::size_t layer_;
};

/// Copies blobs, in as many threads as the sink can have; the first failure stops all.
class BlobCopy {
 public:
  BlobCopy(AnySource& from, AnySink& to, const std::vector<Descriptor>& blobs, const ImageControl& control)
      : from_(from), to_(to), blobs_(blobs), watch_(blobs, control) {}

  void run(const std::stop_token& stop) {
    const std::stop_callback forward(stop, [this] { stop_.request_stop(); });
    std::vector<std::thread> threads;
    const std::size_t workers = to_.is_parallel() ? std::min<std::size_t>(most_threads, blobs_.size()) : 1;
    // Fewer threads than were wished for copy as well.
    try {
      while (threads.size() + 1 < workers) threads.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
    }
    work();
    for (std::thread& thread : threads) thread.join();
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  static constexpr std::size_t most_threads = 4;

  void work() {
    try {
      while (!stop_.stop_requested()) {
        const std::size_t next = next_++;
        if (next >= blobs_.size()) return;
        copy(next);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      stop_.request_stop();
    }
  }

  void copy(std::size_t number) {
    const Descriptor& blob = blobs_[number];
    const std::stop_token stop = stop_.get_token();
    if (to_.has(blob, stop)) return watch_.phase(number, Phase::existed);
    watch_.phase(number, Phase::transferring);
    std::unique_ptr<ByteSource> source;
    try {
      source = from_.open(blob, 0, stop);
    } catch (const Error& error) {
      // A foreign layer is where its URLs say, and may be nowhere else.
      if (blob.urls.empty() || error.code() != errc::not_found) throw;
      return watch_.phase(number, Phase::existed);
    }
    WatchedSource watched(*source, watch_, number);
    to_.put(blob, watched, {.stop = stop});
    watch_.phase(number, Phase::done);
  }

  AnySource& from_;
  AnySink& to_;
  const std::vector<Descriptor>& blobs_;
  Watch watch_;
  std::stop_source stop_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace

Document copy_image(AnySource& from, AnySink& to, const CopyOptions& options) {
  const std::stop_token& stop = options.control.stop;
  const auto check_stop = [&] {
    if (stop.stop_requested()) throw_error(errc::cancelled, "copy", from.name());
  };
  Document top = detail::chosen_top(from, options.platform, stop);
  check_stop();
  if (is_index(top.media_type) && !to.takes_indexes())
    throw_error(errc::unsupported, "copy " + from.name() + " into", to.name(),
                "it is an index of images for several platforms, and there is room for one image",
                "name the platform whose image is meant");
  const detail::ImagePlan plan = detail::plan_image(from, std::move(top), stop);
  check_stop();
  BlobCopy(from, to, plan.blobs, options.control).run(stop);
  for (const Document& document : plan.documents) {
    check_stop();
    if (!to.has(document.descriptor(), stop)) to.put(document, stop);
  }
  check_stop();
  to.finish(plan.top, stop);
  return plan.top;
}

}  // namespace strata
