// What the fuzzers share. A property that doesn't hold ends the process, which is how libFuzzer learns of it, and how a
// test of the corpus fails.
#pragma once

#include <strata/error.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>

namespace strata::test {

inline void require(bool holds, const std::string& what = "it doesn't hold", const char* file = __builtin_FILE(),
                    int line = __builtin_LINE()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  std::abort();
}

/// Runs `work`: the message of the Error that it throws, which must have one of these codes, and be one line; empty
/// where it throws none. Anything else that is thrown ends the process.
template <class Work>
std::string refusal_of(std::initializer_list<errc> codes, Work work) {
  try {
    work();
  } catch (const Error& error) {
    const std::string message = error.what();
    bool expected = false;
    for (const errc code : codes) expected = expected || error.code() == code;
    require(expected, message);
    for (const char c : message) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, message);
    return message;
  }
  return {};
}

/// The input, of which a fuzzer takes bytes for its choices. After its end come zeros.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  unsigned below(unsigned n) { return byte() % n; }
  /// Up to so many bytes.
  std::string_view take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view rest() { return take(rest_.size()); }

 private:
  std::string_view rest_;
};

}  // namespace strata::test
