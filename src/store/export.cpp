#include <strata/error.hpp>

#include "store/operations.hpp"
#include "stream/read_ahead.hpp"
#include "tree/directory.hpp"
#include "tree/recipe.hpp"

#include <algorithm>
#include <mutex>
#include <thread>

namespace strata::detail {

namespace {

/// Calls `use` with the tar, piece by piece, and gives its digest.
Digest read_tar(const StoreCore& core, const Layer& layer, const std::function<void(std::span<const std::byte>)>& use) {
  const FileDescriptor tree = open_directory(core.tree_directory(layer.tree()));
  RecipeSource recipe(tree.get());
  AnyHash hash = core.hash().start();
  if (layer.tar_size <= ReadAhead::block_size) {
    std::vector<std::byte> block(static_cast<std::size_t>(layer.tar_size) + 1);  // so that one read meets the end
    while (const std::size_t size = recipe.read(block)) {
      const auto bytes = std::span<const std::byte>(block).first(size);
      hash.update(bytes);
      use(bytes);
    }
    return hash.finish();
  }
  // Reading, digesting and writing beside each other.
  ReadAhead tar(recipe, [&hash](std::span<const std::byte> bytes) { hash.update(bytes); });
  for (Block block = tar.next_block(); !block.bytes.empty(); block = tar.next_block()) use(block.bytes);
  return hash.finish();
}

std::uint64_t write_layer(const StoreCore& core, const Layer& layer, ByteSink& sink, const Control& control) {
  Progress progress{.phase = Progress::Phase::writing, .total_bytes = layer.tar_size};
  const Digest diff_id = read_tar(core, layer, [&](std::span<const std::byte> bytes) {
    if (control.stop.stop_requested()) throw_error(errc::cancelled, "export", layer.id.to_string());
    sink.write(bytes);
    progress.bytes = progress.tar_bytes += bytes.size();
    if (control.observer) control.observer(progress);
  });
  if (diff_id != layer.diff_id())
    throw_error(errc::damaged, "export", layer.id.to_string(),
                "what came out has the digest " + diff_id.to_string() + " instead of " + layer.diff_id().to_string(),
                "repair the layer");
  return progress.tar_bytes;
}

/// Exports that run beside each other.
class Exports {
 public:
  Exports(const StoreCore& core, std::span<const Digest> ids,
          const std::function<std::unique_ptr<ByteSink>(const Layer& layer)>& open, const Control& control)
      : core_(core), open_(open), control_(control), sizes_(ids.size()) {
    for (const Digest& id : ids) {
      layers_.push_back(core.get(id));
      progress_.total_bytes += layers_.back().tar_size;
    }
  }

  /// What each of several threads does until there is nothing left to begin with.
  void run() {
    for (std::size_t i = begin_next(); i < layers_.size(); i = begin_next()) {
      try {
        write(i);
      } catch (...) {
        const std::lock_guard hold(mutex_);
        if (!failure_ || i < failed_at_) {
          failure_ = std::current_exception();
          failed_at_ = i;
        }
      }
    }
  }

  std::vector<std::uint64_t> finish() {
    if (failure_) std::rethrow_exception(failure_);
    return std::move(sizes_);
  }

 private:
  std::size_t begin_next() {
    const std::lock_guard hold(mutex_);
    return failure_ ? layers_.size() : std::min(next_++, layers_.size());
  }

  void write(std::size_t i) {
    std::unique_ptr<ByteSink> sink;
    {
      const std::lock_guard hold(mutex_);
      sink = open_(layers_[i]);
    }
    std::uint64_t told = 0;
    Control control{.observer = {}, .stop = control_.stop};
    if (control_.observer)
      control.observer = [&](const Progress& progress) {
        const std::lock_guard hold(mutex_);
        progress_.bytes += progress.bytes - told;
        progress_.tar_bytes = progress_.bytes;
        told = progress.bytes;
        control_.observer(progress_);
      };
    sizes_[i] = write_layer(core_, layers_[i], *sink, control);
    sink->finish();
  }

  const StoreCore& core_;
  const std::function<std::unique_ptr<ByteSink>(const Layer& layer)>& open_;
  const Control& control_;
  std::vector<Layer> layers_;
  std::vector<std::uint64_t> sizes_;
  std::mutex mutex_;
  std::size_t next_ = 0;
  Progress progress_{.phase = Progress::Phase::writing};
  std::exception_ptr failure_;
  std::size_t failed_at_ = 0;
};

}  // namespace

std::uint64_t export_layer(const StoreCore& core, const Digest& id, ByteSink& sink, const Control& control) {
  return write_layer(core, core.get(id), sink, control);
}

std::vector<std::uint64_t> export_layers(const StoreCore& core, std::span<const Digest> ids,
                                         const std::function<std::unique_ptr<ByteSink>(const Layer& layer)>& open,
                                         const Control& control) {
  Exports exports(core, ids, open, control);
  constexpr std::size_t most = 8;
  const std::size_t threads = std::min({ids.size(), most, std::size_t{std::thread::hardware_concurrency()}});
  std::vector<std::jthread> beside;
  for (std::size_t i = 1; i < threads; ++i) {
    try {
      beside.emplace_back([&exports] { exports.run(); });
    } catch (const std::system_error&) {
      break;  // there can't be another thread: those that are there do the work
    }
  }
  exports.run();
  beside.clear();
  return exports.finish();
}

}  // namespace strata::detail
