#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include "base/files.hpp"
#include "store/core.hpp"
#include "store/flight.hpp"
#include "store/kept_blob.hpp"
#include "store/layer_draft.hpp"
#include "store/layer_extract.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>

namespace strata::detail {

namespace {

void check_time(const std::string& text) {
  if (!is_rfc3339(text))
    throw_error(errc::bad_argument, "use as the time of creation", quoted(text),
                "it isn't like 2024-01-31T12:00:00Z (RFC 3339)");
}

bool has_tree(const StoreCore& core, const Digest& diff_id) {
  const FileDescriptor tree = try_open_beneath(core.root_descriptor(), core.tree_path(diff_id), O_RDONLY | O_DIRECTORY);
  const auto record = tree ? find_tree_record(tree.get()) : std::nullopt;
  return record && record->self_contained;
}

std::optional<Layer> parent_of(const StoreCore& core, const ImportOptions& options) {
  return options.parent ? std::optional(core.get(*options.parent)) : std::nullopt;
}

/// The layer that an import will give, as far as that is known beforehand.
std::optional<Digest> expected_id(const std::optional<Digest>& parent, const ImportOptions& options) {
  if (!options.expected_diff_id) return std::nullopt;
  return chain_id(parent, *options.expected_diff_id);
}

/// What imports of the same layer have in common before they read it. nullopt: nothing is known of it.
std::optional<Digest> flight_of(const ImportOptions& options) {
  if (auto id = expected_id(options.parent, options)) return id;
  return options.expected_blob ? std::optional(chain_id(options.parent, *options.expected_blob)) : std::nullopt;
}

/// The layer (`id`, where that is known), if an import that this one waited for has stored it, and all that is asked
/// for with it.
std::optional<Layer> stored_by_another(const StoreCore& core, const ImportOptions& options,
                                       const std::optional<Digest>& id) {
  std::optional<Layer> stored = id ? core.find_undamaged(*id) : std::nullopt;
  if (!id)
    for (Layer& layer : core.list())
      if (layer.parent == options.parent && layer.blob == options.expected_blob) stored = std::move(layer);
  const bool lacks_blob = stored && options.keep_blob &&
                          !is_blob_kept(core, {.media_type = {}, .digest = stored->blob, .size = stored->blob_size});
  return lacks_blob ? std::nullopt : stored;
}

/// Writes what is read from a source to a sink besides.
class Tee final : public ByteSource {
 public:
  Tee(ByteSource& from, std::optional<FileSink> to) : from_(from), to_(std::move(to)) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t n = from_.read(into);
    if (to_) to_->write(into.first(n));
    return n;
  }
  std::optional<std::uint64_t> size() const override { return from_.size(); }
  std::string name() const override { return from_.name(); }

 private:
  ByteSource& from_;
  std::optional<FileSink> to_;
};

/// One import. Reading needs no parent, so layers of a chain can do it at the same time; settling does.
class Import {
 public:
  Import(const StoreCore& core, ByteSource& source, ImportOptions options, SpareDrafts* spare = nullptr)
      : core_(core),
        source_(source),
        options_(std::move(options)),
        draft_(core, options_.conformance, options_.owners, options_.budget, result_.report, spare) {
    draft_.keep_by(options_.lease, options_.tag);
    Layer& layer = draft_.layer();
    layer.created = options_.created.empty() ? now_rfc3339() : options_.created;
    layer.author = options_.author;
    layer.comment = options_.comment;
  }

  /// In a thread whose umask is zero, if `umask_is_zero`. Where the store has the tree, or the whole layer (`id`, if
  /// that is known), there is nothing to extract: the stream is only checked.
  void read(bool umask_is_zero, const std::optional<Digest>& id) {
    if (draft_.existed()) return;
    blob_.emplace(source_, options_.keep_blob ? std::optional(draft_.keep_blob()) : std::nullopt);
    stream_.emplace(*blob_, core_.hash(), core_.codecs(), options_.control, options_.budget);  // begins to read
    known_ =
        options_.expected_diff_id && (has_tree(core_, *options_.expected_diff_id) || (id && core_.find_undamaged(*id)));
    const LayerStream::Result read = known_ ? check() : extract(umask_is_zero);
    diff_id_ = read.diff_id;
    Layer& layer = draft_.layer();
    layer.tar_size = read.tar_size;
    layer.media_type = read.media_type;
    layer.blob = read.blob;
    layer.blob_size = read.blob_size;
  }

  /// In the place of reading and settling: another has stored it.
  void take_over(Layer stored) { draft_.settle_stored(std::move(stored)); }

  /// All but putting it in place; `lowers`: the trees of the parent's chain, topmost first.
  void settle(const std::optional<Layer>& parent, const std::vector<boost::filesystem::path>& lowers) {
    if (draft_.existed()) return;
    if (!known_) return draft_.settle(parent, lowers, diff_id_, options_.control);
    // What makes it known can be removed while the stream is read; then it must be given again.
    if (!draft_.settle_known(parent, diff_id_, options_.control))
      throw_error(errc::not_found, "store the layer", stream_->name(), "the tree that it shares was removed meanwhile",
                  "import it again");
  }

  LayerDraft& draft() { return draft_; }
  /// Is held until this goes: by then the layer is in place.
  void hold(std::optional<Flight> flight) { flight_ = std::move(flight); }

  /// Once it is in place.
  ImportedLayer result() {
    result_.existed = draft_.existed();
    static_cast<Layer&>(result_) = result_.existed ? core_.get(draft_.layer().id) : draft_.layer();
    return std::move(result_);
  }

 private:
  LayerStream::Result check() {
    while (!stream_->next_block().bytes.empty()) {
    }
    LayerStream::Result read = stream_->finish();
    if (options_.expected_blob && read.blob != *options_.expected_blob)
      throw_error(errc::digest_mismatch, "accept", stream_->name(), "its digest is " + read.blob.to_string());
    if (read.diff_id != *options_.expected_diff_id)
      throw_error(errc::digest_mismatch, "accept", stream_->name(), "its diff id is " + read.diff_id.to_string());
    return read;
  }

  LayerStream::Result extract(bool umask_is_zero) {
    draft_.open(umask_is_zero, writers_for(*stream_));
    const ExtractOptions extract{options_.conformance, options_.end, options_.expected_blob, options_.expected_diff_id,
                                 options_.budget};
    return extract_layer(*stream_, draft_.builder(), &draft_.recipe(), extract, options_.control, result_.report);
  }

  const StoreCore& core_;
  ByteSource& source_;
  const ImportOptions options_;
  std::optional<Flight> flight_;
  ImportedLayer result_;
  LayerDraft draft_;
  std::optional<Tee> blob_;
  std::optional<LayerStream> stream_;
  bool known_ = false;
  Digest diff_id_;
};

/// Layers that are read at the same time, and settled and placed in their order.
class ChainImport {
 public:
  /// A large layer has threads of its own, for four processors: reading more of them at once takes memory, not less
  /// time.
  ChainImport(const StoreCore& core, std::span<const LayerInput> layers)
      : core_(core),
        layers_(layers),
        stops_(layers.size()),
        room_for_large_(std::max(1U, std::thread::hardware_concurrency() / 4)),
        placed_(parent_of(core, layers.front().options)),
        parent_(placed_) {
    if (placed_ || layers.size() > 1) keeper_.emplace(core);
    if (placed_) keeper_->need(placed_->id);
    std::optional<Digest> below = layers.front().options.parent;
    bool known = true;
    for (const LayerInput& layer : layers) {
      const std::optional<std::uint64_t> size = layer.source.size();
      is_large_.push_back(!size || *size > LayerStream::small_layer);
      if (known) below = expected_id(below, layer.options);
      known = known && below;
      if (layer.stop.stop_possible()) stops_[expected_ids_.size()] = layer.stop;
      expected_ids_.push_back(known ? below : std::nullopt);
    }
  }

  /// What each of several threads does until there is no layer left to begin with.
  void run(bool umask_is_zero) {
    for (std::size_t i = begin_next(); i < layers_.size(); i = begin_next()) {
      try {
        import(i, umask_is_zero);
      } catch (...) {
        failed(i, std::current_exception());
      }
    }
  }

  std::vector<ImportedLayer> finish() {
    if (!unplaced_.empty()) place();  // what is below a failure
    if (failure_) std::rethrow_exception(failure_);
    return std::move(results_);
  }

 private:
  /// In their order, so that none waits for room which one above it has.
  std::size_t begin_next() {
    std::unique_lock hold(mutex_);
    turn_.wait(hold,
               [this] { return failure_ || next_ == layers_.size() || !is_large_[next_] || large_ < room_for_large_; });
    if (failure_ || next_ == layers_.size()) return layers_.size();
    if (is_large_[next_]) ++large_;
    return next_++;
  }

  void read(std::size_t i, Import& one, bool umask_is_zero) {
    const auto make_room = [&] {
      const std::lock_guard hold(mutex_);
      if (is_large_[i]) --large_;
      turn_.notify_all();
    };
    try {
      one.read(umask_is_zero, expected_ids_[i]);
    } catch (...) {
      make_room();
      throw;
    }
    make_room();
  }

  /// The layer's flight, base first: so do all, and two chains never wait for each other. Empty where the layer isn't
  /// known beforehand.
  std::optional<Flight> board(std::size_t i, const std::stop_token& stop) {
    if (!expected_ids_[i]) return std::nullopt;
    {
      std::unique_lock hold(mutex_);
      turn_.wait(hold, [&] { return boarded_ == i || failed_before(i); });
      if (failed_before(i)) throw_error(errc::cancelled, "import", expected_ids_[i]->to_string());
    }
    std::optional<Flight> flight(std::in_place, core_, *expected_ids_[i], stop);
    const std::lock_guard hold(mutex_);
    ++boarded_;
    turn_.notify_all();
    return flight;
  }

  void import(std::size_t i, bool umask_is_zero) {
    ImportOptions options = layers_[i].options;
    // A failure below ends what is above, whose own stop token goes on to count.
    const std::stop_callback forward(options.control.stop, [this, i] { stops_[i].request_stop(); });
    options.control.stop = stops_[i].get_token();
    const std::stop_token stop = options.control.stop;
    auto one = std::make_unique<Import>(core_, layers_[i].source, std::move(options), &spare_);
    std::optional<Flight> flight = board(i, stop);
    std::optional<Layer> stored = flight && (flight->waited() || layers_[i].options.take_stored)
                                      ? stored_by_another(core_, layers_[i].options, expected_ids_[i])
                                      : std::nullopt;
    one->hold(std::move(flight));
    if (stored) one->take_over(*std::move(stored));
    read(i, *one, umask_is_zero);
    {
      std::unique_lock hold(mutex_);
      turn_.wait(hold, [&] { return settled_ == i || failed_before(i); });
      if (failed_before(i)) return;
    }
    // From here on this thread is the only one, until it gives the turn away.
    one->settle(parent_, lowers());
    parent_ = one->draft().layer();
    unplaced_bytes_ += parent_->tar_size;
    unplaced_.push_back(std::move(one));
    if (core_.durability() == Durability::none || unplaced_.size() == most_unplaced ||
        unplaced_bytes_ >= most_unplaced_bytes || i + 1 == layers_.size())
      place();
    const std::lock_guard hold(mutex_);
    ++settled_;
    turn_.notify_all();
  }

  /// The trees of the chain so far, topmost first.
  std::vector<boost::filesystem::path> lowers() const {
    std::vector<boost::filesystem::path> paths;
    for (auto one = unplaced_.rbegin(); one != unplaced_.rend(); ++one) paths.push_back((*one)->draft().tree_path());
    if (placed_) std::ranges::copy(core_.lowers(*placed_), std::back_inserter(paths));
    return paths;
  }

  /// Puts those in place that are settled, with one sync for all of them.
  void place() {
    const std::vector<std::unique_ptr<Import>> settled = std::exchange(unplaced_, {});
    unplaced_bytes_ = 0;
    std::vector<LayerDraft*> drafts;
    for (const auto& one : settled) drafts.push_back(&one->draft());
    LayerDraft::place(core_, drafts, keeper_ ? &*keeper_ : nullptr);
    for (const auto& one : settled) results_.push_back(one->result());
    placed_ = parent_;
  }

  bool failed_before(std::size_t i) const { return failure_ && failed_at_ < i; }

  void failed(std::size_t i, std::exception_ptr failure) {
    const std::lock_guard hold(mutex_);
    if (failure_ && failed_at_ < i) return;
    failure_ = std::move(failure);
    failed_at_ = i;
    for (std::size_t above = i + 1; above < stops_.size(); ++above) stops_[above].request_stop();
    turn_.notify_all();
  }

  const StoreCore& core_;
  std::span<const LayerInput> layers_;
  std::vector<std::stop_source> stops_;
  std::vector<bool> is_large_;  ///< or may be
  std::vector<std::optional<Digest>> expected_ids_;
  std::mutex mutex_;
  std::condition_variable turn_;
  std::size_t next_ = 0;
  std::size_t boarded_ = 0;
  std::size_t settled_ = 0;
  std::size_t large_ = 0;  ///< that are being read
  std::size_t room_for_large_;

  // Of whose turn it is.
  static constexpr std::size_t most_unplaced = 32;  // each holds some descriptors
  static constexpr std::uint64_t most_unplaced_bytes = 64U << 20;
  std::optional<Layer> placed_;  ///< the topmost layer that is in place
  std::optional<Layer> parent_;  ///< the topmost that is settled
  std::optional<Draft> keeper_;  ///< keeps what is in place already, for those above
  SpareDrafts spare_;
  std::vector<std::unique_ptr<Import>> unplaced_;
  std::uint64_t unplaced_bytes_ = 0;
  std::vector<ImportedLayer> results_;
  std::exception_ptr failure_;
  std::size_t failed_at_ = 0;
};

}  // namespace

ImportedLayer import_layer(const StoreCore& core, ByteSource& source, const ImportOptions& options) {
  if (!options.created.empty()) check_time(options.created);
  sweep_drafts(core);
  const std::optional<Layer> parent = parent_of(core, options);  // before anything is read for it
  Import one(core, source, options);
  if (parent) one.draft().need(parent->id);
  bool waited = false;
  if (const auto layer = flight_of(options)) {
    std::optional<Flight> flight(std::in_place, core, *layer, options.control.stop);
    waited = flight->waited() || options.take_stored;
    one.hold(std::move(flight));
  }
  if (auto stored = waited ? stored_by_another(core, options, expected_id(options.parent, options)) : std::nullopt)
    one.take_over(*std::move(stored));
  with_zero_umask([&](bool umask_is_zero) {
    one.read(umask_is_zero, expected_id(options.parent, options));
    one.settle(parent, parent ? core.lowers(*parent) : std::vector<boost::filesystem::path>());
    LayerDraft* const draft[] = {&one.draft()};
    LayerDraft::place(core, draft);
  });
  return one.result();
}

namespace {

std::vector<ImportedLayer> import_beside(const StoreCore& core, std::span<const LayerInput> layers) {
  ChainImport chain(core, layers);
  constexpr std::size_t most = 8;
  const std::size_t threads = std::min({layers.size(), most, std::size_t{std::thread::hardware_concurrency()}});
  std::vector<std::jthread> beside;
  for (std::size_t i = 1; i < threads; ++i) {
    try {
      beside.emplace_back([&] {
        try {
          with_zero_umask([&](bool umask_is_zero) { chain.run(umask_is_zero); });
        } catch (const std::system_error&) {
          // As below.
        }
      });
    } catch (const std::system_error&) {
      break;  // there can't be another thread: those that are there do the work
    }
  }
  with_zero_umask([&](bool umask_is_zero) { chain.run(umask_is_zero); });
  beside.clear();
  return chain.finish();
}

}  // namespace

std::vector<ImportedLayer> import_chain(const StoreCore& core, std::span<const LayerInput> layers) {
  for (const LayerInput& layer : layers)
    if (!layer.options.created.empty()) check_time(layer.options.created);
  sweep_drafts(core);
  if (layers.empty()) return {};
  try {
    return import_beside(core, layers);
  } catch (...) {
    try {
      // One that failed for want of descriptors may have had none to delete its draft with, while others held them.
      sweep_drafts(core);
    } catch (const Error&) {
      // The next import sweeps too; what failed first is to be told.
    }
    throw;
  }
}

}  // namespace strata::detail
