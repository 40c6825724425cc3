// What the formats say of themselves, and how each of them goes wrong. What all of them have in common is in
// conformance/compression_suite.hpp.
#include <strata/compression.hpp>
#include <strata/error.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/tar_builder.hpp"

#include <string>
#include <utility>
#include <vector>

using namespace strata;
using namespace strata::test;
using namespace std::string_literals;

namespace {

const CompressionPolicy gzip = CompressionPolicy::of<Gzip>();
const CompressionPolicy zstd = CompressionPolicy::of<Zstd>();

/// A gzip member with these flags and, behind its fixed header, these optional fields.
std::string gzip_member(char flags, const std::string& fields, const std::string& content) {
  const std::string plain = encode(gzip, content);
  return plain.substr(0, 3) + flags + plain.substr(4, 6) + fields + plain.substr(10);
}

/// A Zstandard frame of that much skipped content.
std::string skippable_frame(char kind, const std::string& content) {
  return kind + "\x2a\x4d\x18"s + static_cast<char>(content.size()) + "\0\0\0"s + content;
}

std::string flipped(std::string text, std::size_t at) {
  text[at] = static_cast<char>(text[at] ^ 1);
  return text;
}

}  // namespace

TEST_CASE("policies are known by name", "[compression]") {
  CHECK(compression_by_name("gzip").media_type == "application/vnd.oci.image.layer.v1.tar+gzip");
  CHECK(compression_by_name("zstd").media_type == "application/vnd.oci.image.layer.v1.tar+zstd");
  CHECK(compression_by_name("none").media_type == "application/vnd.oci.image.layer.v1.tar");
  for (const char* name : {"gzip", "zstd", "none"}) CHECK(compression_by_name(name).name == name);
  for (const char* name : {"", "gz", "GZIP", "bzip2"}) {
    try {
      compression_by_name(name);
      FAIL("it was taken");
    } catch (const Error& e) {
      CHECK(e.code() == errc::bad_argument);
      CHECK(std::string(e.what()).find("gzip, zstd and none") != std::string::npos);
    }
  }
}

TEST_CASE("levels that a format doesn't have are refused", "[compression]") {
  NullSink sink;
  for (const int level : {-1, 0, 10, 100}) CHECK_THROWS_AS(Gzip{.level = level}.compressor(), Error);
  for (const int level : {-1, 0, 20, 100}) CHECK_THROWS_AS(Zstd{.level = level}.compressor(), Error);
  for (const int level : {1, 6, 9}) CHECK_NOTHROW(Gzip{.level = level}.compressor());
  for (const int level : {1, 3, 19}) CHECK_NOTHROW(Zstd{.level = level}.compressor());
}

TEST_CASE("a higher level makes no more bytes", "[compression]") {
  const std::string text = prose(300'000);
  const auto size = [&](auto codec) { return encode(CompressionPolicy::of(codec), text).size(); };
  CHECK(size(Gzip{.level = 9}) < size(Gzip{.level = 1}));
  CHECK(size(Zstd{.level = 15}) < size(Zstd{.level = 1}));
}

TEST_CASE("a tar is recognised by the checksum of its first header", "[compression]") {
  const auto recognised = [](const RawHeader& header) {
    return Uncompressed::recognises(bytes_of(header_block(header)));
  };
  CHECK(recognised({.path = "a"}));
  CHECK(recognised({.path = "a", .magic = gnu_magic}));
  CHECK(recognised({.path = "a", .magic = v7_magic}));
  CHECK(recognised({.path = "gr\xc3\xb6\xc3\x9f"
                            "e"}));
  CHECK_FALSE(recognised({.path = "a", .checksum = "0000000\0"s}));
  CHECK_FALSE(recognised({.path = "a", .checksum = "        "}));
  CHECK_FALSE(recognised({.path = "a", .checksum = "not octal"}));
  CHECK(Uncompressed::recognises(bytes_of(std::string(512, '\0'))));
  CHECK_FALSE(Uncompressed::recognises(bytes_of(std::string(511, '\0'))));
  CHECK_FALSE(Uncompressed::recognises(bytes_of(std::string(512, 'a'))));
  CHECK_FALSE(Uncompressed::recognises({}));
}

TEST_CASE("a tar is recognised whether its checksum sums signed or unsigned bytes", "[compression]") {
  RawHeader header{.path = "caf\xe9"};
  std::int64_t sum = 0;
  const std::string block = header_block(header);
  for (std::size_t i = 0; i < block.size(); ++i) sum += i >= 148 && i < 156 ? ' ' : static_cast<signed char>(block[i]);
  header.checksum = octal(static_cast<std::uint64_t>(sum), 6) + "\0 "s;
  REQUIRE(header_block(header) != block);
  CHECK(Uncompressed::recognises(bytes_of(header_block(header))));
  header.checksum = octal(static_cast<std::uint64_t>(sum + 1), 6) + "\0 "s;
  CHECK_FALSE(Uncompressed::recognises(bytes_of(header_block(header))));
}

TEST_CASE("gzip and zstd are recognised by their magic numbers", "[compression]") {
  CHECK(Gzip::recognises(bytes_of("\x1f\x8b\x08")));
  CHECK_FALSE(Gzip::recognises(bytes_of("\x1f\x8b")));
  CHECK_FALSE(Gzip::recognises(bytes_of("\x1f\x8b\x07")));
  CHECK(Zstd::recognises(bytes_of("\x28\xb5\x2f\xfd")));
  CHECK_FALSE(Zstd::recognises(bytes_of("\x28\xb5\x2f")));
  const std::string frame = encode(zstd, "x");
  CHECK(Zstd::recognises(bytes_of(skippable_frame('\x50', "abc") + frame)));
  CHECK(Zstd::recognises(bytes_of(skippable_frame('\x5f', "") + skippable_frame('\x50', "abc") + frame)));
  CHECK(Zstd::recognises(bytes_of(skippable_frame('\x50', "abc"))));
  CHECK_FALSE(Zstd::recognises(bytes_of(skippable_frame('\x50', "abc") + "\x04\x22\x4d\x18")));  // lz4
}

TEST_CASE("gzip is written without a name and a time", "[compression]") {
  const std::string encoded = encode(gzip, "content");
  CHECK(encoded.substr(0, 4) == "\x1f\x8b\x08\0"s);
  CHECK(encoded.substr(4, 4) == std::string(4, '\0'));
}

TEST_CASE("every optional field of a gzip header is passed over", "[compression]") {
  const std::string extra = "\x05\0ab\0cd"s, name = "file\0"s, comment = "a comment\0"s;
  for (const auto& [flags, fields] : std::vector<std::pair<char, std::string>>{
           {'\x01', ""},  // FTEXT
           {'\x04', extra},
           {'\x04', "\0\0"s},
           {'\x04', "\xff\xff" + std::string(65'535, 'e')},
           {'\x08', name},
           {'\x08', "\0"s},
           {'\x08', std::string(200'000, 'n') + '\0'},
           {'\x10', comment},
           {'\x1c', extra + name + comment},
       }) {
    const std::string encoded = gzip_member(flags, fields, "content");
    for (const std::size_t largest : {1u, 7u, 1'000'000u}) {
      const Decoded decoded = decode(gzip, encoded + encoded, Pieces(largest, 0));
      CHECK(decoded.error == "");
      CHECK(decoded.text == "contentcontent");
    }
  }
}

TEST_CASE("the checksum of a gzip header is checked", "[compression]") {
  // Of 1f 8b 08 02 00 00 00 00 00 03, as Python's zlib.crc32 gives it: the lower two bytes.
  const std::string right = "\xa7\x77";
  CHECK(decode(gzip, gzip_member('\x02', right, "x")).text == "x");
  for (const std::string& wrong : {flipped(right, 0), flipped(right, 1), "\0\0"s}) {
    const Decoded decoded = decode(gzip, gzip_member('\x02', wrong, "x"));
    CHECK(decoded.is_malformed);
    CHECK(decoded.error.find("the header checksum of a member is wrong, at offset 0") != std::string::npos);
  }
}

TEST_CASE("damaged gzip is malformed, and the message says what and where", "[compression]") {
  const std::string first = encode(gzip, "first"), second = encode(gzip, prose(1000));
  const std::string at = ", at offset " + std::to_string(first.size()) + ")";
  const auto check = [&](const std::string& damaged, const std::string& what) {
    for (const std::size_t largest : {1u, 1000u}) {
      const Decoded decoded = decode(gzip, damaged, Pieces(largest, 0));
      CHECK(decoded.is_malformed);
      CHECK(decoded.error == "cannot decompress the gzip stream: malformed data (" + what);
    }
  };
  const std::size_t end = first.size() + second.size();
  check(first + flipped(second, second.size() - 8), "the checksum of a member is wrong" + at);
  check(first + flipped(second, second.size() - 1), "the length of a member is wrong" + at);
  check(first + second.substr(0, 3) + '\x80' + second.substr(4),
        "the header of a member has flags that do not exist" + at);
  check(first + second.substr(0, 10) + '\x07' + second.substr(11), "the compressed data of a member is damaged" + at);
  check(first + second.substr(0, second.size() - 1),
        "it ends in the middle of a member, at offset " + std::to_string(end - 1) + ")");
  check("", "it ends before its first member, at offset 0)");
  check("\x1f\x8b", "it ends before its first member, at offset 2)");
  check("\x1f\x8b\x07 and more", "it does not begin as gzip does, at offset 0)");
  check("plain text", "it does not begin as gzip does, at offset 0)");
}

TEST_CASE("ISA-L and zlib read gzip alike, damage included", "[compression]") {
  const auto read = [](std::unique_ptr<detail::Transformer> decoder, const std::string& encoded, unsigned seed) {
    PieceSource source(encoded, Pieces(1 + seed % 3 * 700, seed));
    detail::FilterSource<detail::DecompressingFilter> filter(detail::DecompressingFilter(std::move(decoder)), source);
    MemorySink sink;
    bool malformed = false;
    try {
      copy(filter, sink);
    } catch (const Error& e) {
      malformed = e.code() == errc::bad_archive;
      if (!malformed) throw;
    }
    return std::pair(malformed ? "malformed"s : sink.take(), filter.trailing_bytes());
  };
  std::mt19937 random(1);
  int malformed = 0;
  for (unsigned seed = 0; seed < 2000; ++seed) {
    const std::string content = seed % 3 == 0 ? noise(random() % 300, seed) : prose(random() % 3000, seed);
    std::string encoded = encode(CompressionPolicy::of(Gzip{.level = 1 + static_cast<int>(seed % 9)}), content);
    if (seed % 2 == 0) encoded += encoded;
    for (unsigned n = seed % 4; n > 0; --n) encoded[random() % encoded.size()] = static_cast<char>(random() & 0xff);
    const auto by_default = read(detail::make_gzip_decoder(), encoded, seed);
    CHECK((by_default == read(detail::make_zlib_gzip_decoder(), encoded, seed)));
    malformed += by_default.first == "malformed";
  }
  CHECK(malformed > 1000);
  CHECK(malformed < 2000);
}

TEST_CASE("skippable frames of zstd are passed over, wherever they stand", "[compression]") {
  const std::string frame = encode(zstd, "content"), skipped = skippable_frame('\x57', std::string(100, 's'));
  for (const std::string& encoded : {skipped + frame, frame + skipped, skipped + skipped + frame + skipped}) {
    for (const std::size_t largest : {1u, 1000u}) {
      const Decoded decoded = decode(zstd, encoded, Pieces(largest, 0));
      CHECK(decoded.error == "");
      CHECK(decoded.text == "content");
      CHECK(decoded.trailing_bytes == 0);
    }
  }
  CHECK(decode(zstd, frame + skipped.substr(0, 50)).is_malformed);
}

TEST_CASE("damaged zstd is malformed, and the message says what and where", "[compression]") {
  const std::string first = encode(zstd, "first"), second = encode(zstd, prose(1000));
  const std::string at = ", at offset " + std::to_string(first.size()) + ")";
  const auto check = [&](const std::string& damaged, const std::string& what) {
    for (const std::size_t largest : {1u, 1000u}) {
      const Decoded decoded = decode(zstd, damaged, Pieces(largest, 0));
      CHECK(decoded.is_malformed);
      CHECK(decoded.error == "cannot decompress the zstd stream: malformed data (" + what);
    }
  };
  check(first + flipped(second, second.size() - 1), "the checksum of a frame is wrong" + at);
  check(first + second.substr(0, 4) + '\x08' + second.substr(5), "a frame is damaged" + at);  // a reserved bit
  check(first + second.substr(0, 4) + "\x01\x58\x07"s, "a frame needs a dictionary" + at);
  check(first + second.substr(0, second.size() - 1),
        "it ends in the middle of a frame, at offset " + std::to_string(first.size() + second.size() - 1) + ")");
  check("", "it ends before its first frame, at offset 0)");
  check("\x28\xb5\x2f", "it ends before its first frame, at offset 3)");
  check("plain text", "it does not begin as zstd does, at offset 0)");
}

TEST_CASE("a zstd window of 128 MiB is taken, a larger one refused", "[compression]") {
  // A frame of one raw block, "x", the last one. The window descriptor's exponent stands in its upper five bits.
  const auto frame = [](int window_log) {
    return "\x28\xb5\x2f\xfd\x00"s + static_cast<char>((window_log - 10) << 3) + "\x09\0\0x"s;
  };
  CHECK(decode(zstd, frame(10)).text == "x");
  CHECK(decode(zstd, frame(27)).text == "x");
  const std::string too_large = frame(28);
  MemorySource source(too_large);
  const auto decoder = zstd.decode(source);
  std::byte into[10];
  try {
    decoder->read(into);
    FAIL("it was taken");
  } catch (const Error& e) {
    CHECK(e.code() == errc::limit_exceeded);
    CHECK(std::string(e.what()).find("the frame at offset 0 needs a window of more than 128 MiB") != std::string::npos);
  }
}

TEST_CASE("a compressed stream that was ended takes no more", "[compression]") {
  for (const CompressionPolicy& policy : {gzip, zstd}) {
    MemorySink sink;
    const auto encoder = policy.encode(sink);
    encoder->write(bytes_of("x"));
    encoder->finish();
    CHECK_THROWS_AS(encoder->write(bytes_of("y")), Error);
    CHECK(decode(policy, sink.text()).text == "x");
  }
}
