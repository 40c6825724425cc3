// Archives built byte by byte, for tests: headers with any field, PAX records, payloads. What is not set is what a
// plain ustar writer would put; nothing is checked, so broken archives are as easy as good ones.
//
//   TarBuilder tar;
//   tar.add({.path = "a", .content = "hello"});
//   tar.pax({{"path", "long"}}).add({.path = "x"}).end();
//   MemorySource source{tar.bytes};
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata::test {

/// One 512-byte header. Fields that are raw are copied as they are, cut at their width; an empty one is left NUL.
struct RawHeader {
  std::string path = {};
  char type = '0';
  std::string link = {};
  std::string content = {};
  std::string mode = "0000644";
  std::string uid = "0000000";
  std::string gid = "0000000";
  std::string size = {};  ///< empty: content.size() in octal
  std::string mtime = "00000000000";
  std::string magic = {"ustar\00000", 8};  ///< with the version
  std::string user_name = {};
  std::string group_name = {};
  std::string device_major = {};
  std::string device_minor = {};
  std::string prefix = {};
  /// Bytes put over the finished header, by offset, before the checksum is made.
  std::vector<std::pair<std::size_t, std::string>> raw = {};
  std::string checksum = {};  ///< empty: the right one
};

inline const std::string gnu_magic{"ustar  \0", 8};
inline const std::string v7_magic(8, '\0');

inline std::string octal(std::uint64_t value, std::size_t digits) {
  std::string text(digits, '0');
  for (auto at = text.rbegin(); at != text.rend(); ++at, value >>= 3) *at = static_cast<char>('0' + (value & 7));
  return text;
}

/// A number in base 256, as wide as its field.
inline std::string base256(std::int64_t value, std::size_t width) {
  std::string text(width, value < 0 ? '\xff' : '\0');
  for (std::size_t i = 0; i < 8 && i < width; ++i) text[width - 1 - i] = static_cast<char>(value >> (8 * i));
  text[0] = static_cast<char>(static_cast<unsigned char>(text[0]) | 0x80U);
  return text;
}

inline std::string header_block(const RawHeader& entry) {
  std::string block(512, '\0');
  const auto put = [&](std::size_t offset, std::size_t width, std::string_view text) {
    std::memcpy(block.data() + offset, text.data(), std::min(width, text.size()));
  };
  put(0, 100, entry.path);
  put(100, 8, entry.mode);
  put(108, 8, entry.uid);
  put(116, 8, entry.gid);
  put(124, 12, entry.size.empty() ? octal(entry.content.size(), 11) : entry.size);
  put(136, 12, entry.mtime);
  put(148, 8, "        ");
  block[156] = entry.type;
  put(157, 100, entry.link);
  put(257, 8, entry.magic);
  put(265, 32, entry.user_name);
  put(297, 32, entry.group_name);
  put(329, 8, entry.device_major);
  put(337, 8, entry.device_minor);
  put(345, 155, entry.prefix);
  for (const auto& [offset, text] : entry.raw) put(offset, 512 - offset, text);
  std::uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  if (entry.checksum.empty())
    put(148, 8, octal(sum, 6) + std::string("\0 ", 2));
  else
    put(148, 8, entry.checksum);
  return block;
}

/// "LENGTH KEY=VALUE\n", its own length counted.
inline std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
  return std::to_string(length) + ' ' + std::string(key) + '=' + std::string(value) + '\n';
}

using PaxList = std::vector<std::pair<std::string, std::string>>;

struct TarBuilder {
  std::string bytes;

  TarBuilder& raw(std::string_view more) {
    bytes += more;
    return *this;
  }
  TarBuilder& pad() { return raw(std::string((512 - bytes.size() % 512) % 512, '\0')); }
  TarBuilder& add(const RawHeader& entry) { return raw(header_block(entry)).raw(entry.content).pad(); }
  /// An extension header with this payload: 'x', 'g', 'L', 'K' …
  TarBuilder& extension(char type, std::string payload) {
    return add({.path = "extension", .type = type, .content = std::move(payload)});
  }
  TarBuilder& pax(const PaxList& records, char type = 'x') {
    std::string payload;
    for (const auto& [key, value] : records) payload += pax_record(key, value);
    return extension(type, payload);
  }
  TarBuilder& long_name(std::string_view name) { return extension('L', std::string(name) + '\0'); }
  TarBuilder& long_link(std::string_view name) { return extension('K', std::string(name) + '\0'); }
  TarBuilder& end() { return raw(std::string(1024, '\0')); }
};

}  // namespace strata::test
