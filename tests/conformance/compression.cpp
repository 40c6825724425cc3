#include "conformance/compression_suite.hpp"

#include <boost/iostreams/filter/bzip2.hpp>

#include <cstring>
#include <ios>

using namespace strata;
using namespace strata::test;

TEST_CASE("Gzip is a compression", "[compression]") { compression_suite(Gzip{}); }
TEST_CASE("Gzip is a compression at level 1", "[compression]") { compression_suite(Gzip{.level = 1}); }
TEST_CASE("Zstd is a compression", "[compression]") { compression_suite(Zstd{}); }
TEST_CASE("Zstd is a compression at level 12", "[compression]") { compression_suite(Zstd{.level = 12}); }

TEST_CASE("Uncompressed is a compression", "[compression]") {
  compression_suite(Uncompressed{}, {.has_end = false, .reports_trailing_bytes = false});
}

namespace {

/// gzip decoded by zlib, whatever the library was built with.
struct GzipByZlib : Gzip {
  detail::DecompressingFilter decompressor() const {
    return detail::DecompressingFilter(detail::make_zlib_gzip_decoder());
  }
};

/// A pair of filters that Boost brings: a policy is a few lines.
struct Bzip2 {
  static constexpr std::string_view name = "bzip2";
  static constexpr std::string_view media_type = "application/vnd.oci.image.layer.v1.tar+bzip2";
  static bool recognises(std::span<const std::byte> head) {
    return head.size() >= 3 && std::memcmp(head.data(), "BZh", 3) == 0;
  }
  boost::iostreams::bzip2_compressor compressor() const { return {}; }
  boost::iostreams::bzip2_decompressor decompressor() const { return {}; }
};

/// A host's own pair of filters: runs as (length, byte), a zero at the end.
struct RunLength {
  static constexpr std::string_view name = "run-length";
  static constexpr std::string_view media_type = "application/x-run-length";
  static constexpr std::string_view magic = "RUNS";
  static bool recognises(std::span<const std::byte> head) {
    return head.size() >= magic.size() && std::memcmp(head.data(), magic.data(), magic.size()) == 0;
  }

  class Compressor {
   public:
    using char_type = char;
    struct category : boost::iostreams::output,
                      boost::iostreams::filter_tag,
                      boost::iostreams::multichar_tag,
                      boost::iostreams::closable_tag {};
    template <class Sink>
    std::streamsize write(Sink& sink, const char* bytes, std::streamsize size) {
      for (std::streamsize i = 0; i < size; ++i) {
        if (length_ == 255 || (length_ > 0 && bytes[i] != value_)) flush(sink);
        value_ = bytes[i];
        ++length_;
      }
      return size;
    }
    template <class Sink>
    void close(Sink& sink) {
      if (length_ > 0) flush(sink);
      begin(sink);
      boost::iostreams::write(sink, "\0", 1);
    }

   private:
    template <class Sink>
    void begin(Sink& sink) {
      if (!begun_) boost::iostreams::write(sink, magic.data(), static_cast<std::streamsize>(magic.size()));
      begun_ = true;
    }
    template <class Sink>
    void flush(Sink& sink) {
      begin(sink);
      const char run[] = {static_cast<char>(length_), value_};
      boost::iostreams::write(sink, run, 2);
      length_ = 0;
    }
    bool begun_ = false;
    int length_ = 0;
    char value_ = 0;
  };

  class Decompressor {
   public:
    using char_type = char;
    struct category : boost::iostreams::input, boost::iostreams::filter_tag, boost::iostreams::multichar_tag {};
    template <class Source>
    std::streamsize read(Source& source, char* into, std::streamsize size) {
      std::streamsize produced = 0;
      while (produced < size && !ended_) {
        if (length_ == 0) next(source);
        for (; length_ > 0 && produced < size; --length_) into[produced++] = value_;
      }
      return produced == 0 ? -1 : produced;
    }

   private:
    template <class Source>
    char byte(Source& source) {
      char c = 0;
      if (boost::iostreams::read(source, &c, 1) != 1) throw std::ios_base::failure("the runs end too early");
      return c;
    }
    template <class Source>
    void next(Source& source) {
      for (; !begun_ && matched_ < magic.size(); ++matched_)
        if (byte(source) != magic[matched_]) throw std::ios_base::failure("these are no runs");
      begun_ = true;
      length_ = static_cast<unsigned char>(byte(source));
      ended_ = length_ == 0;
      if (!ended_) value_ = byte(source);
    }
    bool begun_ = false, ended_ = false;
    std::size_t matched_ = 0;
    int length_ = 0;
    char value_ = 0;
  };

  Compressor compressor() const { return {}; }
  Decompressor decompressor() const { return {}; }
};

static_assert(Compression<GzipByZlib> && Compression<Bzip2> && Compression<RunLength>);

}  // namespace

TEST_CASE("gzip decoded by zlib is a compression", "[compression]") { compression_suite(GzipByZlib{}); }

TEST_CASE("Boost's bzip2 filters make a compression", "[compression]") {
  compression_suite(Bzip2{}, {.reports_trailing_bytes = false});
}

TEST_CASE("a host's own filters make a compression", "[compression]") {
  compression_suite(RunLength{}, {.concatenates = false, .reports_trailing_bytes = false});
}
