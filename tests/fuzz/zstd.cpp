// The framing of Zstandard: however a stream is cut, it has the same content, the same error and as many bytes behind
// it.
#include "fuzz/fuzz.hpp"
#include "support/bytes.hpp"

#include <strata/compression.hpp>

#include <vector>

using namespace strata;
using namespace strata::test;

namespace {

constexpr std::size_t longest = 1 << 20;  ///< decoded bytes that are looked at: a few can make gigabytes

struct Decoded {
  std::string text;
  std::string error;
  std::uint64_t trailing_bytes = 0;
};

Decoded decode(std::string_view encoded, Pieces given, Pieces asked) {
  PieceSource source(encoded, std::move(given));
  const auto decoder = CompressionPolicy::of<Zstd>().decode(source);
  Decoded decoded;
  static std::vector<std::byte> buffer(128 * 1024);
  decoded.error = refusal_of({errc::bad_archive, errc::limit_exceeded}, [&] {
    while (decoded.text.size() < longest) {
      const std::size_t n = decoder->read(std::span(buffer).first(asked.of(buffer.size())));
      if (n == 0) break;
      decoded.text.append(reinterpret_cast<const char*>(buffer.data()), n);
    }
  });
  decoded.trailing_bytes = decoder->trailing_bytes();
  return decoded;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const unsigned seed = input.byte();
  const std::string_view stream = input.rest();
  const Decoded whole = decode(stream, {1 << 30, 0}, {128 * 1024, 0});
  const Decoded pieces =
      decode(stream, {seed % 2 == 0 ? 1U : 1U + seed, seed}, {seed % 3 == 0 ? 1U + seed : 128U * 1024, seed + 1});
  const std::size_t common = std::min(whole.text.size(), pieces.text.size());
  require(whole.text.compare(0, common, pieces.text, 0, common) == 0, "other content");
  if (std::max(whole.text.size(), pieces.text.size()) >= longest) return 0;  // what comes behind was not read
  require(whole.error == pieces.error, "'" + whole.error + "', '" + pieces.error + "'");
  if (!whole.error.empty()) return 0;  // what came before it is of no use, and not as much from each
  require(whole.text.size() == pieces.text.size(), "more content");
  require(whole.trailing_bytes == pieces.trailing_bytes, "other trailing bytes");
  return 0;
}
