// The framing of gzip: however a stream is cut, and whether ISA-L or zlib inflates it, it has the same content, the
// same error and as many bytes behind it.
//
// The input is a list of parts: a byte that says what it is, two for its length, and its bytes. They are put into the
// stream as they are, or as the deflate data of a member whose header and trailer are made right, so that mutations
// reach what is behind them.
#include "fuzz/fuzz.hpp"
#include "support/bytes.hpp"

#include <strata/compression.hpp>

#include <zlib.h>

#include <memory>
#include <vector>

using namespace strata;
using namespace strata::test;

namespace {

constexpr std::size_t longest = 1 << 20;  ///< decoded bytes that are looked at: a kilobyte can make a megabyte

void append_number(std::string& to, unsigned long value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) to += static_cast<char>(value >> (8 * i) & 0xff);
}

unsigned long crc_of(std::string_view text, unsigned long crc = 0) {
  return ::crc32_z(crc, reinterpret_cast<const Bytef*>(text.data()), text.size());
}

/// The trailer stands where zlib says that the data ends; nowhere, where it never does.
std::string member_of(unsigned flags, std::string_view deflate) {
  std::string member{"\x1f\x8b\x08", 3};
  member += static_cast<char>(flags & 0x1fU);
  member += std::string("\0\0\0\0\0\3", 6);
  if ((flags & 4U) != 0) member += std::string("\5\0extra", 7);
  if ((flags & 8U) != 0) member += std::string("name", 5);
  if ((flags & 16U) != 0) member += std::string("comment", 8);
  if ((flags & 2U) != 0) append_number(member, crc_of(member), 2);

  z_stream stream{};
  require(::inflateInit2(&stream, -MAX_WBITS) == Z_OK);
  static std::vector<Bytef> content(longest);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(deflate.data()));
  stream.avail_in = static_cast<uInt>(deflate.size());
  stream.next_out = content.data();
  stream.avail_out = static_cast<uInt>(content.size());
  const bool ended = ::inflate(&stream, Z_FINISH) == Z_STREAM_END;
  const std::size_t end = deflate.size() - stream.avail_in;
  ::inflateEnd(&stream);
  member += deflate.substr(0, end);
  if (ended) {
    const std::size_t made = content.size() - stream.avail_out;
    append_number(member, crc_of({reinterpret_cast<const char*>(content.data()), made}), 4);
    append_number(member, made, 4);
  }
  return member += deflate.substr(end);
}

std::string stream_of(Input& input) {
  std::string stream;
  while (!input.empty()) {
    const unsigned kind = input.byte();
    const std::size_t size = input.byte() + 256U * input.byte();
    const std::string_view part = input.take(size);
    if ((kind & 0x80U) != 0)
      stream += part;
    else
      stream += member_of(kind, part);
  }
  return stream;
}

struct Decoded {
  std::string text;
  std::string error;
  std::uint64_t trailing_bytes = 0;
};

Decoded decode(std::unique_ptr<detail::Transformer> decoder, const std::string& encoded, Pieces given, Pieces asked) {
  PieceSource source(encoded, std::move(given));
  detail::FilterSource<detail::DecompressingFilter> filter(detail::DecompressingFilter(std::move(decoder)), source);
  Decoded decoded;
  static std::vector<std::byte> buffer(128 * 1024);
  decoded.error = refusal_of({errc::bad_archive}, [&] {
    while (decoded.text.size() < longest) {
      const std::size_t n = filter.read(std::span(buffer).first(asked.of(buffer.size())));
      if (n == 0) break;
      decoded.text.append(reinterpret_cast<const char*>(buffer.data()), n);
    }
  });
  decoded.trailing_bytes = filter.trailing_bytes();
  return decoded;
}

bool has(const Decoded& decoded, const char* error) { return decoded.error.find(error) != std::string::npos; }

void require_same(const Decoded& first, const Decoded& second, const char* what) {
  const std::size_t common = std::min(first.text.size(), second.text.size());
  require(first.text.compare(0, common, second.text, 0, common) == 0, std::string(what) + ": other content");
  if (std::max(first.text.size(), second.text.size()) >= longest) return;  // what comes behind was not read
  require(first.error == second.error, std::string(what) + ": '" + first.error + "', '" + second.error + "'");
  if (!first.error.empty()) return;  // what came before it is of no use, and not as much from each
  require(first.text.size() == second.text.size(), std::string(what) + ": more content");
  require(first.trailing_bytes == second.trailing_bytes, std::string(what) + ": other trailing bytes");
}

/// ISA-L takes Huffman codes that are incomplete, as long as nothing uses what they lack, and looks at less of a block
/// that is cut. So where zlib says that deflate data is damaged, it may say something else; where zlib says that it is
/// cut, it may have found damage. In all else they are the same.
void require_alike(const Decoded& zlib, const Decoded& isal) {
  const char* const damaged = "compressed data of a member is damaged";
  if (has(zlib, damaged) || (has(zlib, "ends in the middle of a member") && has(isal, damaged))) return;
  require_same(zlib, isal, "zlib and the default");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const unsigned seed = input.byte();
  const std::string stream = stream_of(input);
  const Pieces whole(1 << 30, 0);
  const Pieces given(seed % 2 == 0 ? 1 : 1 + seed, seed);
  const Pieces asked(seed % 3 == 0 ? 1 + seed : 128 * 1024, seed + 1);
  const Pieces all(128 * 1024, 0);
  const Decoded zlib = decode(detail::make_zlib_gzip_decoder(), stream, whole, all);
  const Decoded isal = decode(detail::make_gzip_decoder(), stream, whole, all);
  require_alike(zlib, isal);
  require_same(zlib, decode(detail::make_zlib_gzip_decoder(), stream, given, asked), "zlib, in pieces");
  require_same(isal, decode(detail::make_gzip_decoder(), stream, given, asked), "the default, in pieces");
  return 0;
}
