#include "store/layer_extract.hpp"

#include <strata/error.hpp>

#include "base/budget.hpp"

#include <algorithm>
#include <exception>
#include <thread>

namespace strata::detail {

namespace {

/// What of the tar isn't content goes into the recipe.
struct RecipeObserver final : TarReader::RawObserver {
  explicit RecipeObserver(RecipeWriter& writer) : recipe(writer) {}
  void structure(std::span<const std::byte> bytes) override { recipe.literal(bytes); }
  RecipeWriter& recipe;
};

/// The stored pieces of a file go to their places; the space between them are holes.
class Placer {
 public:
  Placer(TreeBuilder& builder, const TarEntry& entry) : builder_(builder), entry_(entry) {}

  void write(std::span<const std::byte> bytes, const std::shared_ptr<const void>& owner) {
    if (!entry_.sparse) return builder_.write(bytes, owner);
    while (!bytes.empty()) {
      const SparseExtent& extent = entry_.extents[extent_];
      if (done_ == 0) skip_to(extent.offset);
      const std::size_t n = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), extent.size - done_));
      builder_.write(bytes.first(n), owner);
      bytes = bytes.subspan(n);
      at_ += n;
      if ((done_ += n) == extent.size) {
        ++extent_;
        done_ = 0;
      }
    }
  }
  void finish() {
    if (entry_.sparse) skip_to(entry_.size);
    builder_.close();
  }

 private:
  void skip_to(std::uint64_t offset) {
    if (offset > at_) builder_.hole(offset - at_);
    at_ = offset;
  }
  TreeBuilder& builder_;
  const TarEntry& entry_;
  std::size_t extent_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t at_ = 0;
};

/// The reader has reported an unmarked end already; here it is decided whether to accept it.
void check_end(TarEnd end, bool proven, const ExtractOptions& options, const std::string& name) {
  if (end == TarEnd::marked) return;
  const char* what = end == TarEnd::half       ? "the archive ends with one block of zeros instead of two"
                     : end == TarEnd::unmarked ? "the archive ends without an end marker"
                                               : "the archive ends within the padding of its last entry";
  if (options.conformance == Conformance::strict || (options.end == EndOfLayer::proven && !proven))
    throw_error(errc::bad_archive, "read a layer from", name, std::string(what) + ": it may be cut short",
                "give its digest, or allow an unmarked end, if it is whole");
}

/// The reader reports and goes on; what it reports is for strict to refuse.
void refuse_notes(const Report& notes, const std::string& name) {
  if (notes.empty()) return;
  const Event& first = notes.events().front();
  throw_error(errc::refused, "accept the entry", first.path.empty() ? "of " + name : quoted(first.path), first.action,
              "rule " + first.rule);
}

void check_digest(const std::optional<Digest>& expected, const Digest& found, const char* what,
                  const std::string& name) {
  if (expected && *expected != found)
    throw_error(errc::digest_mismatch, "accept", name,
                std::string("its ") + what + " is " + found.to_string() + ", not " + expected->to_string());
}

/// A header must be able to hold the attributes that the budget allows; base64 and keywords make them longer.
TarLimits limits_for(const Budget& budget) {
  TarLimits limits;
  limits.header_bytes = std::max(limits.header_bytes, add_capped(budget.entry_xattr_bytes, budget.entry_xattr_bytes));
  return limits;
}

/// Before any of an entry's content is written: that all of it can be.
void check_size(const TarEntry& entry, std::uint64_t offset, const Budget& budget) {
  if (const std::uint64_t end = add_capped(offset, entry.stored_size); end > budget.tar_bytes)
    throw_over_budget(budget, &Budget::tar_bytes, quoted(entry.path),
                      "the layer's tar has " + std::to_string(end) + " bytes up to its end");
}

}  // namespace

LayerStream::Result extract_layer(LayerStream& stream, TreeBuilder& builder, RecipeWriter* recipe,
                                  const ExtractOptions& options, const Control& control, Report& report) {
  TarReader reader(stream, limits_for(options.budget));
  const bool strict = options.conformance == Conformance::strict;
  Report notes;
  reader.set_report(strict ? &notes : &report);
  std::optional<RecipeObserver> observer;
  if (recipe != nullptr) reader.set_observer(&observer.emplace(*recipe));
  Progress progress{.total_bytes = stream.blob_total().value_or(0)};
  std::uint64_t told = 0;
  const auto tell = [&] {
    if (control.stop.stop_requested()) throw_error(errc::cancelled, "read", stream.name());
    if (!control.observer || progress.tar_bytes - told < (256U << 10)) return;
    told = progress.tar_bytes;
    progress.bytes = stream.blob_bytes();
    control.observer(progress);
  };
  while (const TarEntry* entry = reader.next()) {
    ++progress.entries;
    progress.tar_bytes = reader.offset();
    tell();
    refuse_notes(notes, stream.name());
    check_size(*entry, reader.offset(), options.budget);
    if (!builder.add(*entry)) continue;
    if (recipe != nullptr && entry->stored_size != 0)
      recipe->begin_content(builder.content_ordinal(), builder.content_path(), entry->size,
                            entry->sparse ? entry->extents : std::vector<SparseExtent>{});
    Placer placer(builder, *entry);
    for (auto piece = reader.content(); !piece.empty(); piece = reader.content()) {
      placer.write(piece, reader.content_owner());
      if (recipe != nullptr) recipe->content(piece);
      progress.tar_bytes = reader.offset();
      tell();
    }
    if (recipe != nullptr && entry->stored_size != 0) recipe->end_content();
    placer.finish();
  }
  LayerStream::Result result = stream.finish();
  const bool proven = result.compressed || options.expected_blob || options.expected_diff_id;
  check_end(reader.end(), proven, options, stream.name());
  refuse_notes(notes, stream.name());
  if (reader.end() == TarEnd::unmarked && result.tar_size == 0)
    throw_error(errc::bad_archive, "read a layer from", stream.name(), "it is empty");
  if (result.trailing_bytes != 0) {
    const std::string what = std::to_string(result.trailing_bytes) + " bytes follow the compressed stream: ignored";
    if (strict) throw_error(errc::refused, "accept", stream.name(), what);
    report.add(result.codec, "", what);
  }
  check_digest(options.expected_blob, result.blob, "digest", stream.name());
  check_digest(options.expected_diff_id, result.diff_id, "diff id", stream.name());
  builder.finish();
  if (recipe != nullptr) recipe->finish();
  return result;
}

unsigned writers_for(const LayerStream& stream) {
  constexpr unsigned most = 4;  // one filesystem has little use for more
  return stream.threaded() ? std::clamp(std::thread::hardware_concurrency(), 1U, most) : 0;
}

std::vector<CompressionPolicy> known_codecs() {
  return {CompressionPolicy::of<Gzip>(), CompressionPolicy::of<Zstd>(), CompressionPolicy::of<Uncompressed>()};
}

void with_zero_umask(const std::function<void(bool umask_is_zero)>& work) {
  std::exception_ptr failure;
  std::thread thread([&] {
    try {
      // The umask belongs to what clone(2) calls CLONE_FS; unshared, it is this thread's alone.
      const bool own = sys::unshare(CLONE_FS) == 0;
      if (own) ::umask(0);
      work(own);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace strata::detail
