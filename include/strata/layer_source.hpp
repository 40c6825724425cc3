// Where images come from, and where they go: two contracts that layouts, archives, registries, other stores and a
// host's own transports keep. Names of models as skopeo has them are read in transport/names.hpp.
//
//   strata::AnySource source{strata::OciLayoutSource("images", "debian")};
//   strata::copy_image(source, sink);
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/digest.hpp>
#include <strata/export.hpp>
#include <strata/image.hpp>
#include <strata/progress.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace strata {

/// One image, or one index of several, and the blobs that these name. Movable.
///
/// | expression                     | type and meaning                                                              |
/// |--------------------------------|-------------------------------------------------------------------------------|
/// | `S::local`                     | bool; whether reading a blob again costs nothing, so that none has to be kept |
/// | `s.name()`                     | std::string; what messages call it; no secret is in it                        |
/// | `s.top(stop)`                  | Document; the index or manifest that the source was opened for                |
/// | `s.document(descriptor, stop)` | Document; one that another names; its digest was checked                      |
/// | `s.open(blob, offset, stop)`   | std::unique_ptr<ByteSource>; the blob's bytes from `offset` on; they weren't  |
/// |                                | checked. The stop token counts for reading it too                             |
///
/// It may have `s.image_name()`, std::string: what the place calls the image, empty where it has no name for it; a
/// store that is told no other name takes that.
///
/// Throws Error: errc::not_found for what isn't there, errc::cancelled. open() may be called by several threads at a
/// time, the others by one.
template <typename S>
concept LayerSource = std::move_constructible<S> &&
    requires(S& s, const Descriptor& descriptor, std::uint64_t offset, const std::stop_token& stop) {
  { S::local } -> std::convertible_to<bool>;
  { s.name() } -> std::convertible_to<std::string>;
  { s.top(stop) } -> std::same_as<Document>;
  { s.document(descriptor, stop) } -> std::same_as<Document>;
  { s.open(descriptor, offset, stop) } -> std::same_as<std::unique_ptr<ByteSource>>;
};

/// Takes one image, or one index of several: blobs and documents first, what names them after them, and last the top.
/// Movable.
///
/// | expression                  | type and meaning                                                                   |
/// |-----------------------------|------------------------------------------------------------------------------------|
/// | `K::parallel`               | bool; whether has() and put() of blobs may be called by several threads at a time  |
/// | `k.name()`                  | std::string; as of a source                                                        |
/// | `k.has(descriptor, stop)`   | bool; whether this blob or document is there already, and need not be put          |
/// | `k.put(blob, source, control)` | takes a blob, reads `source` to its end; errc::digest_mismatch where size or    |
/// |                             | digest aren't those of the descriptor, and nothing of it is left                   |
/// | `k.put(document, stop)`     | takes a document, by its digest                                                    |
/// | `k.finish(top, stop)`       | the top, by its name: only now is there an image under it. Called once, last       |
///
/// It may have `K::indexes`, bool: false where it has room for an image alone, which copy_image() then says of an index
/// before more of that is read.
///
/// Throws Error. A sink that is destroyed without finish() leaves nothing under the name; what was put may stay where
/// several images share it (a layout, a registry).
template <typename K>
concept LayerSink = std::move_constructible<K> &&
    requires(K& k, const Descriptor& descriptor, ByteSource& source, const Document& document, const Control& control,
             const std::stop_token& stop) {
  { K::parallel } -> std::convertible_to<bool>;
  { k.name() } -> std::convertible_to<std::string>;
  { k.has(descriptor, stop) } -> std::same_as<bool>;
  k.put(descriptor, source, control);
  k.put(document, stop);
  k.finish(document, stop);
};

/// A source without its type. Movable.
class STRATA_API AnySource {
 public:
  static constexpr bool local = false;  ///< is_local() says it

  template <typename S>
  requires(!std::same_as<S, AnySource>) && LayerSource<S> explicit AnySource(S source)
      : model_(std::make_unique<Model<S>>(std::move(source))) {}

  bool is_local() const noexcept { return model_->is_local(); }
  std::string name() const { return model_->name(); }
  std::string image_name() const { return model_->image_name(); }
  Document top(const std::stop_token& stop = {}) { return model_->top(stop); }
  Document document(const Descriptor& descriptor, const std::stop_token& stop = {}) {
    return model_->document(descriptor, stop);
  }
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset = 0, const std::stop_token& stop = {}) {
    return model_->open(blob, offset, stop);
  }

 private:
  struct Concept {
    virtual ~Concept() = default;
    virtual bool is_local() const noexcept = 0;
    virtual std::string name() const = 0;
    virtual std::string image_name() const = 0;
    virtual Document top(const std::stop_token& stop) = 0;
    virtual Document document(const Descriptor& descriptor, const std::stop_token& stop) = 0;
    virtual std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset,
                                             const std::stop_token& stop) = 0;
  };
  template <class S>
  struct Model final : Concept {
    explicit Model(S source) : source_(std::move(source)) {}
    bool is_local() const noexcept override { return S::local; }
    std::string name() const override { return source_.name(); }
    std::string image_name() const override {
      if constexpr (requires(const S& s) { s.image_name(); })
        return source_.image_name();
      else
        return {};
    }
    Document top(const std::stop_token& stop) override { return source_.top(stop); }
    Document document(const Descriptor& descriptor, const std::stop_token& stop) override {
      return source_.document(descriptor, stop);
    }
    std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset,
                                     const std::stop_token& stop) override {
      return source_.open(blob, offset, stop);
    }
    S source_;
  };
  std::unique_ptr<Concept> model_;
};

/// A sink without its type. Movable.
class STRATA_API AnySink {
 public:
  static constexpr bool parallel = false;  ///< is_parallel() says it

  template <typename K>
  requires(!std::same_as<K, AnySink>) && LayerSink<K> explicit AnySink(K sink)
      : model_(std::make_unique<Model<K>>(std::move(sink))) {}

  bool is_parallel() const noexcept { return model_->is_parallel(); }
  bool takes_indexes() const noexcept { return model_->takes_indexes(); }
  std::string name() const { return model_->name(); }
  bool has(const Descriptor& descriptor, const std::stop_token& stop = {}) { return model_->has(descriptor, stop); }
  void put(const Descriptor& blob, ByteSource& source, const Control& control = {}) {
    model_->put(blob, source, control);
  }
  void put(const Document& document, const std::stop_token& stop = {}) { model_->put(document, stop); }
  void finish(const Document& top, const std::stop_token& stop = {}) { model_->finish(top, stop); }

 private:
  struct Concept {
    virtual ~Concept() = default;
    virtual bool is_parallel() const noexcept = 0;
    virtual bool takes_indexes() const noexcept = 0;
    virtual std::string name() const = 0;
    virtual bool has(const Descriptor& descriptor, const std::stop_token& stop) = 0;
    virtual void put(const Descriptor& blob, ByteSource& source, const Control& control) = 0;
    virtual void put(const Document& document, const std::stop_token& stop) = 0;
    virtual void finish(const Document& top, const std::stop_token& stop) = 0;
  };
  template <class K>
  struct Model final : Concept {
    explicit Model(K sink) : sink_(std::move(sink)) {}
    bool is_parallel() const noexcept override { return K::parallel; }
    bool takes_indexes() const noexcept override {
      if constexpr (requires { K::indexes; })
        return K::indexes;
      else
        return true;
    }
    std::string name() const override { return sink_.name(); }
    bool has(const Descriptor& descriptor, const std::stop_token& stop) override { return sink_.has(descriptor, stop); }
    void put(const Descriptor& blob, ByteSource& source, const Control& control) override {
      sink_.put(blob, source, control);
    }
    void put(const Document& document, const std::stop_token& stop) override { sink_.put(document, stop); }
    void finish(const Document& top, const std::stop_token& stop) override { sink_.finish(top, stop); }
    K sink_;
  };
  std::unique_ptr<Concept> model_;
};

static_assert(LayerSource<AnySource> && LayerSink<AnySink>);

/// How far one layer of an image is.
struct LayerProgress {
  enum class Phase { waiting, transferring, storing, done, existed };
  Descriptor layer;
  Phase phase = Phase::waiting;
  std::uint64_t bytes = 0;    ///< of the blob, of layer.size; a resumed transfer begins where the last one ended
  std::uint64_t entries = 0;  ///< stored
};

/// How far an image is: base first, one for each layer.
struct ImageProgress {
  std::vector<LayerProgress> layers;
  std::uint64_t bytes = 0;        ///< of all layers that have to be transferred
  std::uint64_t total_bytes = 0;  ///< what `bytes` will reach
  /// As the bytes so far let expect; unset while they don't.
  std::optional<std::chrono::seconds> left = {};
};

/// As Control, for work on whole images. The observer is called by one thread at a time, at each change of a phase and
/// at most ten times a second between.
struct ImageControl {
  std::function<void(const ImageProgress&)> observer = {};
  std::stop_token stop = {};
};

struct CopyOptions {
  /// Of an index, the image of this platform alone; unset: all that it has.
  std::optional<Platform> platform = {};
  ImageControl control = {};
};

/// Copies an image as it is, blob by blob, several at a time where the sink can, and returns its top. What the sink has
/// already isn't read. Digests are checked by the sink.
STRATA_API Document copy_image(AnySource& from, AnySink& to, const CopyOptions& options = {});

}  // namespace strata
