// Bytes to feed to hashes, codecs and parsers: of several kinds, always the same for one seed, and cut in pieces.
#pragma once

#include <strata/byte_stream.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace strata::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// Doesn't compress.
inline std::string noise(std::size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random() & 0xff);
  return text;
}

/// Compresses about as source code does: words from a small set, and copies of what came before.
inline std::string prose(std::size_t size, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < size) {
    if (text.size() > 100 && random() % 3 == 0) {
      const std::size_t length = 3 + random() % 60;
      text += text.substr(random() % (text.size() - length), length);
    } else {
      for (std::size_t i = 2 + random() % 8; i > 0; --i) text += static_cast<char>('a' + random() % 26);
      text += random() % 10 == 0 ? '\n' : ' ';
    }
  }
  text.resize(size);
  return text;
}

/// How to cut a stream: sizes of pieces, each at least 1.
class Pieces {
 public:
  /// Random sizes up to `largest`; 1: byte by byte.
  Pieces(std::size_t largest, unsigned seed) : largest_(largest), random_(seed) {}
  /// The next piece of something of this size, not 0.
  std::size_t of(std::size_t size) { return std::min(size, 1 + random_() % largest_); }

 private:
  std::size_t largest_;
  std::mt19937 random_;
};

/// A source that never gives more than a piece.
class PieceSource final : public ByteSource {
 public:
  PieceSource(std::string_view text, Pieces pieces) : rest_(text), pieces_(std::move(pieces)) {}
  std::size_t read(std::span<std::byte> into) override {
    if (rest_.empty()) return 0;
    const std::size_t n = pieces_.of(std::min(into.size(), rest_.size()));
    std::memcpy(into.data(), rest_.data(), n);
    rest_.remove_prefix(n);
    return n;
  }

 private:
  std::string_view rest_;
  Pieces pieces_;
};

}  // namespace strata::test
