#include "stream/layer_stream.hpp"

#include <strata/error.hpp>

#include "base/budget.hpp"
#include "stream/read_ahead.hpp"

#include <atomic>
#include <cstring>
#include <thread>

namespace strata::detail {

namespace {

constexpr std::size_t small_layer = LayerStream::small_layer;

void drain(ByteSource& source) {
  std::byte rest[16U << 10];
  while (source.read(rest) != 0) {
  }
}

/// The outer stream: counts, digests, watches the stop token, and gives back the first bytes that were read for
/// recognition.
class Intake final : public ByteSource {
 public:
  Intake(ByteSource& from, AnyHash hash, const Control& control)
      : from_(from), hash_(std::move(hash)), control_(control) {
    std::size_t n = 1;
    while (head_size_ < small_layer && n != 0) {
      n = take({head_.get() + head_size_, small_layer - head_size_});
      head_size_ += n;
    }
    whole_ = n == 0;
  }

  std::span<const std::byte> head() const { return {head_.get(), head_size_}; }
  /// Whether the head is all there is.
  bool whole() const { return whole_; }

  std::size_t read(std::span<std::byte> into) override {
    if (given_ < head_size_) {
      const std::size_t n = std::min(into.size(), head_size_ - given_);
      std::memcpy(into.data(), head_.get() + given_, n);
      given_ += n;
      if (given_ == head_size_) head_.reset();
      return n;
    }
    return whole_ ? 0 : take(into);
  }
  std::optional<std::uint64_t> size() const override { return from_.size(); }
  std::string name() const override { return from_.name(); }
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  Digest finish() {
    // A decoder stops at the end of its stream; the digest covers all that came.
    drain(*this);
    return hash_.finish();
  }

 private:
  std::size_t take(std::span<std::byte> into) {
    if (control_.stop.stop_requested()) throw_error(errc::cancelled, "read", from_.name());
    const std::size_t n = from_.read(into);
    hash_.update(into.first(n));
    bytes_.fetch_add(n, std::memory_order_relaxed);
    return n;
  }

  ByteSource& from_;
  AnyHash hash_;
  const Control& control_;
  std::unique_ptr<std::byte[]> head_ = std::make_unique_for_overwrite<std::byte[]>(small_layer);
  std::size_t head_size_ = 0;
  std::size_t given_ = 0;
  bool whole_ = false;
  std::atomic<std::uint64_t> bytes_{0};
};

/// What is decoded, and what of the compressed stream that took: the ratio is looked at here, where no stage has run
/// ahead of another, so that one layer meets one verdict.
class Ratio final : public ByteSource {
 public:
  Ratio(ByteSource& compressed, const CompressionPolicy& codec, const Budget& budget)
      : taken_(compressed), decoder_(codec.decode(taken_)), budget_(budget) {}

  std::size_t read(std::span<std::byte> into) override {
    const std::size_t n = decoder_->read(into);
    given_ += n;
    // By division, since the product might be no number.
    if (given_ > budget_.ratio_from && taken_.bytes != 0 && (given_ - 1) / taken_.bytes >= budget_.ratio)
      throw_over_budget(budget_, &Budget::ratio, taken_.name(),
                        std::to_string(taken_.bytes) + " bytes of it gave " + std::to_string(given_));
    return n;
  }
  std::string name() const override { return taken_.name(); }
  std::uint64_t trailing_bytes() const { return decoder_->trailing_bytes(); }

 private:
  struct Taken final : ByteSource {
    explicit Taken(ByteSource& source) : from(source) {}
    std::size_t read(std::span<std::byte> into) override {
      const std::size_t n = from.read(into);
      bytes += n;
      return n;
    }
    std::optional<std::uint64_t> size() const override { return from.size(); }
    std::string name() const override { return from.name(); }
    ByteSource& from;
    std::uint64_t bytes = 0;
  };

  Taken taken_;
  std::unique_ptr<DecodingSource> decoder_;
  const Budget& budget_;
  std::uint64_t given_ = 0;
};

const CompressionPolicy& recognise(const Intake& intake, const std::vector<CompressionPolicy>& codecs) {
  const auto head = intake.head().first(std::min(recognition_size, intake.head().size()));
  if (head.empty())
    throw_error(errc::bad_archive, "read a layer from", intake.name(), "it is empty",
                "a layer is at least an empty tar: 1,024 zero bytes");
  for (const CompressionPolicy& codec : codecs)
    if (codec.recognises(head)) return codec;
  std::string known;
  for (const CompressionPolicy& codec : codecs)
    if (codec.name != Uncompressed::name && known.find(codec.name) == std::string::npos)
      known += (known.empty() ? "" : ", ") + codec.name;
  throw_error(errc::bad_archive, "read a layer from", intake.name(),
              "it is neither a tar nor compressed by one of: " + known);
}

}  // namespace

struct LayerStream::Impl {
  Impl(ByteSource& source, const HashPolicy& hash, const std::vector<CompressionPolicy>& codecs, const Control& control,
       const Budget& limits)
      : budget(limits),
        intake(source, hash.start(), control),
        codec(recognise(intake, codecs)),
        diff_hash(hash.start()),
        compressed(codec.name != Uncompressed::name) {
    ByteSource* at = &intake;
    if (!intake.whole() && std::thread::hardware_concurrency() > 1) {
      reader = std::make_unique<ReadAhead>(*at);
      at = reader.get();
    }
    if (compressed) {
      decoder = std::make_unique<Ratio>(*at, codec, budget);
      at = decoder.get();
    }
    if (!reader) {
      unthreaded = at;
      pool.emplace(small_layer, 2);
      return;
    }
    // Of an uncompressed layer the diff id is the blob's digest, and decoding is nothing.
    if (compressed)
      decoded = std::make_unique<ReadAhead>(*at, [this](std::span<const std::byte> bytes) { diff_hash.update(bytes); });
    tar = decoded ? decoded.get() : reader.get();
  }

  Block next() {
    if (tar != nullptr) return tar->next_block();
    const std::shared_ptr<std::byte[]> bytes = pool->take();
    std::size_t size = 0;
    for (std::size_t n = 1; n != 0 && size < small_layer; size += n)
      n = unthreaded->read({bytes.get() + size, small_layer - size});
    if (compressed) diff_hash.update({bytes.get(), size});
    return {{bytes.get(), size}, bytes};
  }

  Budget budget;
  Intake intake;
  const CompressionPolicy& codec;
  AnyHash diff_hash;
  bool compressed;
  std::uint64_t tar_size = 0;
  ReadAhead* tar = nullptr;
  ByteSource* unthreaded = nullptr;
  std::optional<BlockPool> pool;  // of what runs in no thread of its own
  // Each reads from the one before it; they go in the opposite order.
  std::unique_ptr<ReadAhead> reader;
  std::unique_ptr<Ratio> decoder;
  std::unique_ptr<ReadAhead> decoded;
};

LayerStream::LayerStream(ByteSource& source, const HashPolicy& hash, const std::vector<CompressionPolicy>& codecs,
                         const Control& control, const Budget& budget)
    : impl_(std::make_unique<Impl>(source, hash, codecs, control, budget)) {}
LayerStream::~LayerStream() = default;

Block LayerStream::next_block() {
  Block block = impl_->next();
  impl_->tar_size += block.bytes.size();
  if (impl_->tar_size > impl_->budget.tar_bytes)
    throw_over_budget(impl_->budget, &Budget::tar_bytes, name(), "its tar has more bytes");
  return block;
}

bool LayerStream::threaded() const { return impl_->reader != nullptr; }
std::string LayerStream::name() const { return impl_->intake.name(); }
std::uint64_t LayerStream::blob_bytes() const { return impl_->intake.bytes(); }
std::optional<std::uint64_t> LayerStream::blob_total() const { return impl_->intake.size(); }

LayerStream::Result LayerStream::finish() {
  Result result;
  if (impl_->decoder) result.trailing_bytes = impl_->decoder->trailing_bytes();
  result.tar_size = impl_->tar_size;
  result.codec = impl_->codec.name;
  result.media_type = impl_->codec.media_type;
  result.compressed = impl_->compressed;
  // The stages have ended, so their threads touch nothing any more once joined.
  impl_->decoded.reset();
  if (impl_->compressed) result.diff_id = impl_->diff_hash.finish();
  // A decoder may stop before the end.
  if (impl_->reader && impl_->compressed) drain(*impl_->reader);
  impl_->reader.reset();
  impl_->decoder.reset();
  impl_->pool.reset();
  result.blob = impl_->intake.finish();
  result.blob_size = impl_->intake.bytes();
  if (!impl_->compressed) result.diff_id = result.blob;
  return result;
}

}  // namespace strata::detail
