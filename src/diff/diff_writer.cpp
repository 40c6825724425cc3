#include <strata/diff_writer.hpp>
#include <strata/error.hpp>
#include <strata/tar.hpp>

#include "diff/changes.hpp"
#include "diff/latest_time.hpp"
#include "store/container_views.hpp"

#include <algorithm>
#include <array>

namespace strata {
namespace {

using detail::MergedView;
using Paths = std::vector<boost::filesystem::path>;

/// Passes bytes on, and digests and counts them on the way.
class DigestingSink final : public ByteSink {
 public:
  DigestingSink(const HashPolicy& hash, ByteSink& next) : hash_(hash.start()), next_(next) {}
  void write(std::span<const std::byte> bytes) override {
    hash_.update(bytes);
    size_ += bytes.size();
    next_.write(bytes);
  }
  std::uint64_t size() const { return size_; }
  Digest digest() { return hash_.finish(); }

 private:
  AnyHash hash_;
  ByteSink& next_;
  std::uint64_t size_ = 0;
};

/// Puts the writer's many small pieces together.
class BufferingSink final : public ByteSink {
 public:
  explicit BufferingSink(ByteSink& next) : next_(next) { buffer_.reserve(size); }
  void write(std::span<const std::byte> bytes) override {
    if (buffer_.size() + bytes.size() > size) flush();
    if (bytes.size() >= size) return next_.write(bytes);
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  void finish() override { flush(); }

 private:
  void flush() {
    if (!buffer_.empty()) next_.write(buffer_);
    buffer_.clear();
  }
  static constexpr std::size_t size = 64U << 10;
  ByteSink& next_;
  std::vector<std::byte> buffer_;
};

/// The way of a layer: tar, diff id, codec, blob digest, the caller's sink.
class LayerSink final : public detail::ChangeSink {
 public:
  LayerSink(const HashPolicy& hash, const CompressionPolicy& codec, ByteSink& sink)
      : compressed_(codec.name != Uncompressed::name),
        blob_(hash, sink),
        encoder_(compressed_ ? codec.encode(blob_) : nullptr),
        tar_(hash, compressed_ ? *encoder_ : sink),
        buffer_(tar_),
        writer_(buffer_) {}

  void add(const TarEntry& entry) override {
    writer_.add(entry);
    ++entries_;
  }
  void content(std::span<const std::byte> bytes) override { writer_.content(bytes); }
  void zeros(std::uint64_t size) override {
    static constexpr std::array<std::byte, 1 << 16> none{};
    for (; size > 0; size -= std::min<std::uint64_t>(size, none.size()))
      writer_.content(std::span(none).first(static_cast<std::size_t>(std::min<std::uint64_t>(size, none.size()))));
  }

  void finish(DiffResult& result) {
    writer_.finish();
    buffer_.finish();
    if (compressed_) encoder_->finish();
    result.diff_id = tar_.digest();
    result.blob = compressed_ ? blob_.digest() : result.diff_id;
    result.tar_size = tar_.size();
    result.blob_size = compressed_ ? blob_.size() : tar_.size();
    result.entries = entries_;
  }
  void measure(Progress& progress) const {
    progress.bytes = compressed_ ? blob_.size() : tar_.size();
    progress.tar_bytes = tar_.size();
  }

 private:
  const bool compressed_;  // else the blob is the tar, and one digest serves both
  DigestingSink blob_;
  std::unique_ptr<ByteSink> encoder_;
  DigestingSink tar_;
  BufferingSink buffer_;
  TarWriter writer_;
  std::uint64_t entries_ = 0;
};

template <class Find>
DiffResult write_changes(const HashPolicy& hash, const CompressionPolicy& codec, ByteSink& sink,
                         const DiffOptions& options, Find find) {
  LayerSink layer(hash, codec, sink);
  detail::ChangeOptions change_options;
  change_options.latest_time = detail::latest_time(options);
  change_options.ids = options.ids;
  change_options.trust_times = options.trust_times;
  change_options.control.stop = options.control.stop;
  if (options.control.observer)
    change_options.control.observer = [&](Progress progress) {
      layer.measure(progress);
      options.control.observer(progress);
    };
  DiffResult result;
  result.media_type = codec.media_type;
  find(static_cast<detail::ChangeSink&>(layer), change_options, result.report);
  layer.finish(result);
  return result;
}

DiffResult write_stack(const MergedView& merged, const HashPolicy& hash, const CompressionPolicy& codec, ByteSink& sink,
                       const DiffOptions& options) {
  return write_changes(hash, codec, sink, options, [&](auto& changes, const auto& change_options, Report& report) {
    changes_of_upper(merged, merged.below(), changes, change_options, report);
  });
}

}  // namespace

DiffResult DiffWriterBase::write(const LayerStoreBase& store, const Container& container, ByteSink& sink,
                                 const DiffOptions& options) const {
  const detail::StoreCore& core = *store.core();
  const Layer layer = core.get(container.layer);
  const detail::ContainerViews views(core, container, layer);
  return write_changes(hash_, codec_, sink, options, [&](auto& changes, const auto& change_options, Report& report) {
    views.tell(changes, change_options, report);
  });
}

DiffResult DiffWriterBase::write_upper(const boost::filesystem::path& upper, const Paths& lowers, ByteSink& sink,
                                       const DiffOptions& options) const {
  return write_stack(detail::stacked(upper, {}, lowers, {}), hash_, codec_, sink, options);
}

DiffResult DiffWriterBase::write_upper(const boost::filesystem::path& upper, UnionForm form, const Paths& lowers,
                                       UnionForm lower_form, ByteSink& sink, const DiffOptions& options) const {
  return write_stack(detail::stacked(upper, form, lowers, lower_form), hash_, codec_, sink, options);
}

DiffResult DiffWriterBase::write_trees(const boost::filesystem::path& older, const boost::filesystem::path& newer,
                                       ByteSink& sink, const DiffOptions& options) const {
  const MergedView before({older}, MergedView::Marks::none), after({newer}, MergedView::Marks::none);
  return write_changes(hash_, codec_, sink, options, [&](auto& changes, const auto& change_options, Report& report) {
    changes_between(before, after, changes, change_options, report);
  });
}

}  // namespace strata
