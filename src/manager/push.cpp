#include <strata/compression.hpp>
#include <strata/error.hpp>
#include <strata/layer_manager.hpp>

#include "base/files.hpp"
#include "manager/pull_progress.hpp"
#include "store/draft.hpp"
#include "store/image_record.hpp"
#include "store/kept_blob.hpp"
#include "store/operations.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <charconv>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace strata {

namespace {

using detail::ImageTeller;
using Compress = PushOptions::Compress;
using Phase = LayerProgress::Phase;

/// Writes to a sink, and digests what it gets.
class DigestingSink final : public ByteSink {
 public:
  explicit DigestingSink(ByteSink& to) : to_(to) {}
  void write(std::span<const std::byte> bytes) override {
    hash_.update(bytes);
    size_ += bytes.size();
    to_.write(bytes);
  }
  Digest digest() { return hash_.finish(); }
  std::uint64_t size() const { return size_; }

 private:
  ByteSink& to_;
  AnyHash hash_ = AnyHash::of<Sha256>();
  std::uint64_t size_ = 0;
};

/// One push.
class Push {
 public:
  Push(const LayerStoreBase& store, const Image& image, AnySink& sink, const PushOptions& options)
      : core_(*store.core()),
        image_(image),
        source_(StoreSource(store, image)),
        sink_(sink),
        options_(options),
        manifest_(ImageManifest::parse(image.manifest)),
        diff_ids_(ImageConfig::parse(image.config).diff_ids),
        layers_(detail::chain_ids(diff_ids_)),
        teller_(options.control, manifest_.layers),
        draft_(core_),
        forward_(options.control.stop, [this] { stop_.request_stop(); }) {}

  Document run() {
    for (const Descriptor& layer : manifest_.layers) teller_.expect(layer.size);
    work();
    if (failure_) std::rethrow_exception(failure_);
    for (const auto& [before, repeated] : repeats_)
      if (written_.layers[before].digest != manifest_.layers[before].digest)
        written_.layers[repeated] = written_.layers[before];
    const Descriptor config = manifest_.config;
    if (!sink_.has(config, options_.control.stop)) {
      MemorySource bytes(image_.config.bytes);
      sink_.put(config, bytes, {.observer = {}, .stop = options_.control.stop});
    }
    const Document top = written_.document();
    sink_.finish(top, options_.control.stop);
    teller_.done();
    return top;
  }

 private:
  void work() {
    const std::size_t threads =
        sink_.is_parallel() ? std::min<std::size_t>(std::max(1U, options_.transfers), manifest_.layers.size()) : 1;
    std::vector<std::jthread> beside;
    for (std::size_t i = 1; i < threads; ++i) {
      try {
        beside.emplace_back([this] { push_layers(); });
      } catch (const std::system_error&) {
        break;  // those that are there do the work
      }
    }
    push_layers();
  }

  /// What each of several threads does until there is no layer left.
  void push_layers() {
    for (;;) {
      std::size_t i = 0;
      {
        const std::lock_guard hold(mutex_);
        if (failure_ || next_ == manifest_.layers.size()) return;
        i = next_++;
      }
      try {
        push_layer(i);
      } catch (...) {
        const std::lock_guard hold(mutex_);
        if (!failure_) failure_ = std::current_exception();
        stop_.request_stop();
      }
    }
  }

  void push_layer(std::size_t i) {
    const Descriptor& layer = manifest_.layers[i];
    // A layer that is there twice is sent once.
    for (std::size_t before = 0; before < i; ++before)
      if (manifest_.layers[before].digest == layer.digest) return repeat(before, i);
    if (!is_to_be_made(layer, diff_ids_[i])) return push_as_it_is(i, layer);
    if (options_.compress != Compress::none) return compress(i);
    const Descriptor plain{
        .media_type = compressed_type(), .digest = diff_ids_[i], .size = core_.get(layers_[i]).tar_size};
    replace(i, plain);
    push_as_it_is(i, plain);
  }

  void push_as_it_is(std::size_t i, const Descriptor& blob) {
    if (has(blob)) return teller_.layer(i, Phase::existed, 0);
    const auto from = source_.open(blob, 0, stop_.get_token());
    try {
      send(i, blob, *from);
    } catch (const Error& error) {
      if (error.code() != errc::digest_mismatch || !is_damaged(blob)) throw;
      throw Error(error.code(), error.operation(), error.subject(), error.detail(),
                  "repair the image, and push it again");
    }
  }

  /// Whether the store's own bytes are to blame.
  bool is_damaged(const Descriptor& blob) const {
    return detail::check_kept_blob(core_, blob, {}).state == detail::KeptBlob::State::wrong;
  }

  /// The same blob as that of a lower layer, whose descriptor may be about to change.
  void repeat(std::size_t before, std::size_t i) {
    const std::lock_guard hold(mutex_);
    repeats_.emplace_back(before, i);
  }

  bool has(const Descriptor& blob) { return sink_.has(blob, stop_.get_token()); }

  void send(std::size_t i, const Descriptor& blob, ByteSource& from) {
    std::uint64_t sent = 0;
    teller_.layer(i, Phase::transferring, 0);
    sink_.put(blob, from,
              {.observer =
                   [&](const Progress& progress) {
                     if (progress.bytes <= sent) return;
                     teller_.moved(progress.bytes - std::exchange(sent, progress.bytes));
                     teller_.blob(manifest_.layers[i].digest, Phase::transferring, progress.bytes);
                   },
               .stop = stop_.get_token()});
    teller_.layer(i, Phase::done, 0);
  }

  /// Whether its blob is made of the tree.
  bool is_to_be_made(const Descriptor& layer, const Digest& diff_id) const {
    if (image_.made && (layer.media_type == media_type::oci_layer || layer.media_type == media_type::docker_layer))
      return true;
    return options_.recompress && layer.urls.empty() && layer.digest != diff_id && !detail::is_blob_kept(core_, layer);
  }

  std::string compressed_type() const {
    const bool docker = manifest_.media_type == media_type::docker_manifest;
    if (options_.compress == Compress::none)
      return std::string(docker ? media_type::docker_layer : media_type::oci_layer);
    if (options_.compress == Compress::gzip)
      return std::string(docker ? media_type::docker_layer_gzip : media_type::oci_layer_gzip);
    if (docker)
      throw_error(errc::unsupported, "push", source_.name(), "docker's manifests have no layers compressed by zstd",
                  "compress by gzip");
    return std::string(media_type::oci_layer_zstd);
  }

  /// What came out when it was compressed before: if the sink has that, it needn't be done again.
  std::optional<Descriptor> remembered(std::size_t i) const {
    const auto text = detail::read_note(core_.root_descriptor(), note_of(i));
    if (!text) return std::nullopt;
    const std::size_t space = text->find(' ');
    auto digest = Digest::try_parse(std::string_view(*text).substr(0, space));
    std::uint64_t size = 0;
    if (!digest || space == std::string::npos ||
        std::from_chars(text->data() + space + 1, text->data() + text->size(), size).ec != std::errc())
      return std::nullopt;
    return Descriptor{.media_type = compressed_type(), .digest = *std::move(digest), .size = size};
  }

  std::string note_of(std::size_t i) const {
    return core_.layer_path(layers_[i]) + (options_.compress == Compress::gzip ? "/gzip" : "/zstd");
  }

  void remember(std::size_t i, const Descriptor& blob) const {
    const std::string note = note_of(i);
    (void)sys::unlinkat(core_.root_descriptor(), note.c_str(), 0);
    try {
      detail::write_note(core_.root_descriptor(), note, blob.digest.to_string() + " " + std::to_string(blob.size));
    } catch (const Error&) {
      // Then it is compressed again.
    }
  }

  void compress(std::size_t i) {
    if (const auto before = remembered(i); before && has(*before)) {
      replace(i, *before);
      return teller_.layer(i, Phase::existed, 0);
    }
    teller_.layer(i, Phase::storing, 0);
    const std::string name = "blob." + std::to_string(i);
    Descriptor blob{.media_type = compressed_type()};
    {
      FileDescriptor fd(sys::openat(draft_.descriptor(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0600));
      if (!fd) throw_errno(errno, "create", "the compressed layer");
      FileSink file(std::move(fd), "the compressed layer");
      DigestingSink digesting(file);
      const auto encoder =
          compression_by_name(options_.compress == Compress::gzip ? Gzip::name : Zstd::name).encode(digesting);
      (void)detail::export_layer(core_, layers_[i], *encoder, {.observer = {}, .stop = stop_.get_token()});
      encoder->finish();
      blob.digest = digesting.digest();
      blob.size = digesting.size();
    }
    replace(i, blob);
    remember(i, blob);
    if (!has(blob)) {
      FileDescriptor fd(sys::openat(draft_.descriptor(), name.c_str(), O_RDONLY | O_NOFOLLOW));
      if (!fd) throw_errno(errno, "open", "the compressed layer");
      FileSource file(std::move(fd), "the compressed layer");
      send(i, blob, file);
    }
    (void)sys::unlinkat(draft_.descriptor(), name.c_str(), 0);
  }

  void replace(std::size_t i, const Descriptor& blob) {
    const std::lock_guard hold(mutex_);
    Descriptor& layer = written_.layers[i];
    if (layer.digest != blob.digest) {  // what is said of other bytes: where they are, where in them a file begins
      layer.urls.clear();
      layer.annotations.clear();
    }
    layer.media_type = blob.media_type;
    layer.digest = blob.digest;
    layer.size = blob.size;
  }

  const detail::StoreCore& core_;
  const Image& image_;
  AnySource source_;
  AnySink& sink_;
  const PushOptions& options_;
  const ImageManifest manifest_;
  ImageManifest written_ = manifest_;
  const std::vector<Digest> diff_ids_;
  const std::vector<Digest> layers_;  ///< in the store
  ImageTeller teller_;
  const detail::Draft draft_;  ///< for what is compressed
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_;
  std::mutex mutex_;
  std::size_t next_ = 0;
  std::vector<std::pair<std::size_t, std::size_t>> repeats_;
  std::exception_ptr failure_;
};

}  // namespace

Document LayerManagerBase::push(std::string_view image, AnySink sink, const PushOptions& options) const {
  const Image found = images().get(image);
  const Lease lease = store_.lease();
  lease.add(found.layer);
  return Push(store_, found, sink, options).run();
}

}  // namespace strata
