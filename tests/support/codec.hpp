// Whole streams through a compression policy, and streams that fail.
#pragma once

#include <strata/compression.hpp>
#include <strata/error.hpp>

#include "support/bytes.hpp"

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace strata::test {

inline std::string encode(const CompressionPolicy& policy, std::string_view text, Pieces pieces = {1 << 30, 0}) {
  MemorySink sink;
  const auto encoder = policy.encode(sink);
  while (!text.empty()) {
    const std::size_t n = pieces.of(text.size());
    encoder->write(bytes_of(text.substr(0, n)));
    text.remove_prefix(n);
  }
  encoder->finish();
  return sink.take();
}

struct Decoded {
  std::string text;   ///< up to the error, where there is one
  std::string error;  ///< what(); empty: there was none
  bool is_malformed = false;
  std::uint64_t trailing_bytes = 0;
};

/// `given`: what the source gives at once; `asked`: what is asked for at once.
inline Decoded decode(const CompressionPolicy& policy, std::string_view encoded, Pieces given = {1 << 30, 0},
                      Pieces asked = {128 * 1024, 0}) {
  Decoded decoded;
  PieceSource source(encoded, std::move(given));
  const auto decoder = policy.decode(source);
  std::vector<std::byte> buffer(512 * 1024);
  try {
    while (const std::size_t n = decoder->read(std::span(buffer).first(asked.of(buffer.size()))))
      decoded.text.append(reinterpret_cast<const char*>(buffer.data()), n);
  } catch (const Error& e) {
    decoded.error = e.what();
    decoded.is_malformed = e.code() == errc::bad_archive;
  }
  decoded.trailing_bytes = decoder->trailing_bytes();
  return decoded;
}

/// What recognises() is shown.
inline std::span<const std::byte> head_of(std::string_view text) { return bytes_of(text.substr(0, recognition_size)); }

/// Gives so many bytes of a text, then fails.
class FailingSource final : public ByteSource {
 public:
  struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  FailingSource(std::string_view text, std::size_t after) : text_(text.substr(0, after)) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t n = rest_.read(into);
    if (n == 0) throw Failure("the source failed");
    return n;
  }

 private:
  std::string text_;
  MemorySource rest_{text_};
};

/// Takes so many bytes, then fails.
class FailingSink final : public ByteSink {
 public:
  struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
  };
  explicit FailingSink(std::size_t after) : left_(after) {}
  void write(std::span<const std::byte> bytes) override {
    if (bytes.size() > left_) throw Failure("the sink failed");
    left_ -= bytes.size();
  }

 private:
  std::size_t left_;
};

}  // namespace strata::test
