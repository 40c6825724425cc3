// The compression policies: gzip, zstd and none, each a pair of Boost.Iostreams filters; and CompressionPolicy, which
// holds any of them where no template can reach.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/concepts.hpp>
#include <strata/error.hpp>
#include <strata/export.hpp>

#include <boost/iostreams/categories.hpp>
#include <boost/iostreams/close.hpp>
#include <boost/iostreams/operations.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <ios>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace strata {

namespace detail {

/// A decoder or encoder of one format: a machine that turns some input into some output. Compiled code behind it.
class STRATA_API Transformer {
 public:
  struct Step {
    std::size_t consumed = 0;  ///< input bytes taken
    std::size_t produced = 0;  ///< output bytes given
    bool ended = false;        ///< the stream is complete; nothing more comes out
  };
  virtual ~Transformer() = default;
  /// Takes from `input` and gives to `output` until one of them is used up: room that is left says that all of the
  /// input was taken, and all that it makes given. `last`: no input follows; a stream that isn't complete then is
  /// errc::bad_archive. How input and output are divided changes neither the bytes nor the error.
  virtual Step step(std::span<const std::byte> input, std::span<std::byte> output, bool last) = 0;
  /// Bytes behind the end of the stream that belong to no member or frame of it.
  virtual std::uint64_t trailing_bytes() const { return 0; }
};

STRATA_API std::unique_ptr<Transformer> make_gzip_encoder(int level);
STRATA_API std::unique_ptr<Transformer> make_gzip_decoder();
/// The same decoder over zlib, in any build: what make_gzip_decoder() is compared with.
STRATA_API std::unique_ptr<Transformer> make_zlib_gzip_decoder();
STRATA_API std::unique_ptr<Transformer> make_zstd_encoder(int level);
STRATA_API std::unique_ptr<Transformer> make_zstd_decoder();

/// Writes all, or throws: a sink may take less (it shouldn't, unless it is non-blocking).
template <class Sink>
void write_all(Sink& sink, const char* bytes, std::size_t size) {
  if (boost::iostreams::write(sink, bytes, static_cast<std::streamsize>(size)) != static_cast<std::streamsize>(size))
    throw std::ios_base::failure("the sink did not take all bytes");
}

/// An OutputFilter over an encoder. Copies are one filter: Boost.Iostreams copies filters into its chains.
class STRATA_API CompressingFilter {
 public:
  using char_type = char;
  struct category : boost::iostreams::output,
                    boost::iostreams::filter_tag,
                    boost::iostreams::multichar_tag,
                    boost::iostreams::closable_tag {};

  explicit CompressingFilter(std::unique_ptr<Transformer> encoder);

  template <class Sink>
  std::streamsize write(Sink& sink, const char* bytes, std::streamsize size) {
    pump(bytes, static_cast<std::size_t>(size), false,
         [&](const char* out, std::size_t n) { write_all(sink, out, n); });
    return size;
  }
  /// Ends the compressed stream. Once; nothing can be written after it.
  template <class Sink>
  void close(Sink& sink) {
    pump(nullptr, 0, true, [&](const char* out, std::size_t n) { write_all(sink, out, n); });
  }

 private:
  void pump(const char* bytes, std::size_t size, bool last, const std::function<void(const char*, std::size_t)>& out);
  struct State;
  std::shared_ptr<State> state_;
};

/// An InputFilter over a decoder. Reads concatenated members and frames as one stream. Copies are one filter.
class STRATA_API DecompressingFilter {
 public:
  using char_type = char;
  struct category : boost::iostreams::input, boost::iostreams::filter_tag, boost::iostreams::multichar_tag {};

  explicit DecompressingFilter(std::unique_ptr<Transformer> decoder);

  /// As Boost.Iostreams defines it: how many characters were read, -1 at the end.
  template <class Source>
  std::streamsize read(Source& source, char* into, std::streamsize size) {
    return pump(into, static_cast<std::size_t>(size), [&](char* at, std::size_t n) {
      return boost::iostreams::read(source, at, static_cast<std::streamsize>(n));
    });
  }
  /// Bytes that followed the compressed stream and are not part of it; complete once read() has returned -1.
  std::uint64_t trailing_bytes() const;

 private:
  std::streamsize pump(char* into, std::size_t size, const std::function<std::streamsize(char*, std::size_t)>& in);
  struct State;
  std::shared_ptr<State> state_;
};

/// The filters that change nothing, and copy nothing.
struct IdentityOutput {
  using char_type = char;
  struct category : boost::iostreams::output,
                    boost::iostreams::filter_tag,
                    boost::iostreams::multichar_tag,
                    boost::iostreams::closable_tag {};
  template <class Sink>
  std::streamsize write(Sink& sink, const char* bytes, std::streamsize size) {
    write_all(sink, bytes, static_cast<std::size_t>(size));
    return size;
  }
  template <class Sink>
  void close(Sink&) {}
};
struct IdentityInput {
  using char_type = char;
  struct category : boost::iostreams::input, boost::iostreams::filter_tag, boost::iostreams::multichar_tag {};
  template <class Source>
  std::streamsize read(Source& source, char* into, std::streamsize size) {
    return boost::iostreams::read(source, into, size);
  }
};

}  // namespace detail

/// gzip (RFC 1952). Decoding uses ISA-L where the library was built with it, else zlib, with the same results;
/// concatenated members are one stream. Encoding writes one member with no name and no time: same bytes each time.
struct STRATA_API Gzip {
  static constexpr std::string_view name = "gzip";
  static constexpr std::string_view media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
  static bool recognises(std::span<const std::byte> head);
  detail::CompressingFilter compressor() const { return detail::CompressingFilter(detail::make_gzip_encoder(level)); }
  detail::DecompressingFilter decompressor() const { return detail::DecompressingFilter(detail::make_gzip_decoder()); }

  int level = 6;  ///< 1 fastest to 9 smallest; 6 is what docker, containerd and GNU gzip write
};

/// Zstandard (RFC 8878), with a checksum in each frame. Concatenated and skippable frames are one stream; a window of
/// more than 128 MiB is refused.
struct STRATA_API Zstd {
  static constexpr std::string_view name = "zstd";
  static constexpr std::string_view media_type = "application/vnd.oci.image.layer.v1.tar+zstd";
  static bool recognises(std::span<const std::byte> head);
  detail::CompressingFilter compressor() const { return detail::CompressingFilter(detail::make_zstd_encoder(level)); }
  detail::DecompressingFilter decompressor() const { return detail::DecompressingFilter(detail::make_zstd_decoder()); }

  int level = 3;  ///< 1 to 19; 3 takes about 4 MiB of memory, 19 about 90
};

/// The tar as it is. Recognises a tar header (by its checksum), and a block of zeros.
struct STRATA_API Uncompressed {
  static constexpr std::string_view name = "none";
  static constexpr std::string_view media_type = "application/vnd.oci.image.layer.v1.tar";
  static bool recognises(std::span<const std::byte> head);
  detail::IdentityOutput compressor() const { return {}; }
  detail::IdentityInput decompressor() const { return {}; }
};

/// A source that decodes another; trailing_bytes() is complete once read() has returned 0.
class STRATA_API DecodingSource : public ByteSource {
 public:
  virtual std::uint64_t trailing_bytes() const = 0;
};

/// How many first bytes of a stream recognises() is shown, where it has them: a whole tar header.
inline constexpr std::size_t recognition_size = 512;

/// A compression policy as a value. What a template hands to compiled code.
struct CompressionPolicy {
  std::string name;
  std::string media_type;
  std::function<bool(std::span<const std::byte>)> recognises;
  /// `from` outlives what is returned.
  std::function<std::unique_ptr<DecodingSource>(ByteSource& from)> decode;
  /// `to` outlives what is returned; finish() of what is returned ends the compressed stream, not `to`.
  std::function<std::unique_ptr<ByteSink>(ByteSink& to)> encode;

  template <Compression Codec>
  static CompressionPolicy of(Codec codec = {});
};

/// The policy among gzip, zstd and none that has this name. Throws errc::bad_argument that lists them.
STRATA_API CompressionPolicy compression_by_name(std::string_view name);

static_assert(Compression<Gzip> && Compression<Zstd> && Compression<Uncompressed>);

namespace detail {

/// A ByteSource as a Boost.Iostreams Source, and a ByteSink as a Sink: references, as filters expect of devices.
struct SourceDevice {
  using char_type = char;
  using category = boost::iostreams::source_tag;
  ByteSource* source;
  std::streamsize read(char* into, std::streamsize size) {
    const std::size_t n = source->read(std::as_writable_bytes(std::span(into, static_cast<std::size_t>(size))));
    return n == 0 ? -1 : static_cast<std::streamsize>(n);
  }
};
struct SinkDevice {
  using char_type = char;
  using category = boost::iostreams::sink_tag;
  ByteSink* sink;
  std::streamsize write(const char* bytes, std::streamsize size) {
    sink->write(std::as_bytes(std::span(bytes, static_cast<std::size_t>(size))));
    return size;
  }
};

template <class Filter>
class FilterSource final : public DecodingSource {
 public:
  FilterSource(Filter filter, ByteSource& from) : filter_(std::move(filter)), device_{&from} {}
  std::size_t read(std::span<std::byte> into) override {
    if (ended_) return 0;  // some filters begin anew when they are read past their end
    std::streamsize n = 0;
    try {
      n = boost::iostreams::read(filter_, device_, reinterpret_cast<char*>(into.data()),
                                 static_cast<std::streamsize>(into.size()));
    } catch (const std::ios_base::failure& e) {  // how filters that aren't strata's say it
      throw_error(errc::bad_archive, "decompress", name(), e.what());
    }
    ended_ = n <= 0;
    return ended_ ? 0 : static_cast<std::size_t>(n);
  }
  std::string name() const override { return device_.source->name(); }
  std::uint64_t trailing_bytes() const override {
    if constexpr (requires { filter_.trailing_bytes(); }) return filter_.trailing_bytes();
    return 0;
  }

 private:
  Filter filter_;
  SourceDevice device_;
  bool ended_ = false;
};

template <class Filter>
class FilterSink final : public ByteSink {
 public:
  FilterSink(Filter filter, ByteSink& to) : filter_(std::move(filter)), device_{&to} {}
  void write(std::span<const std::byte> bytes) override {
    boost::iostreams::write(filter_, device_, reinterpret_cast<const char*>(bytes.data()),
                            static_cast<std::streamsize>(bytes.size()));
  }
  void finish() override { boost::iostreams::close(filter_, device_, std::ios_base::out); }

 private:
  Filter filter_;
  SinkDevice device_;
};

}  // namespace detail

template <Compression Codec>
CompressionPolicy CompressionPolicy::of(Codec codec) {
  using namespace detail;
  return {std::string(Codec::name), std::string(Codec::media_type),
          [](std::span<const std::byte> head) { return Codec::recognises(head); },
          [codec](ByteSource& from) -> std::unique_ptr<DecodingSource> {
            return std::make_unique<FilterSource<decltype(codec.decompressor())>>(codec.decompressor(), from);
          },
          [codec](ByteSink& to) -> std::unique_ptr<ByteSink> {
            return std::make_unique<FilterSink<decltype(codec.compressor())>>(codec.compressor(), to);
          }};
}

}  // namespace strata
