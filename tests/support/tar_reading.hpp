// Reads a whole archive for a test: entries, their content, what was reported, how it ended; and checks on the way that
// structure and content together are the archive again.
#pragma once

#include "support/catch.hpp"

#include <strata/byte_stream.hpp>
#include <strata/error.hpp>
#include <strata/report.hpp>
#include <strata/tar.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace strata::test {

struct ReadEntry : TarEntry {
  std::string content;
  std::uint64_t offset = 0;
};

struct ReadArchive {
  std::vector<ReadEntry> entries;
  TarEnd end = TarEnd::unmarked;
  Report report;

  bool reported(std::string_view part) const {
    return std::any_of(report.events().begin(), report.events().end(),
                       [&](const Event& event) { return event.action.find(part) != event.action.npos; });
  }
};

/// Gives at most `piece` bytes a call, as a slow pipe does.
class Dribble final : public ByteSource {
 public:
  Dribble(std::string_view text, std::size_t piece) : rest_(text), piece_(piece) {}
  std::size_t read(std::span<std::byte> into) override {
    const std::size_t size = std::min({into.size(), piece_, rest_.size()});
    std::copy_n(reinterpret_cast<const std::byte*>(rest_.data()), size, into.data());
    rest_.remove_prefix(size);
    return size;
  }

 private:
  std::string_view rest_;
  std::size_t piece_;
};

struct Rebuild final : TarReader::RawObserver {
  void structure(std::span<const std::byte> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void skipped(std::span<const std::byte> bytes) override {
    skipped_bytes += bytes.size();
    structure(bytes);
  }
  std::string text;
  std::uint64_t skipped_bytes = 0;
};

inline ReadArchive read_archive(std::string_view bytes, TarLimits limits = {}, std::size_t piece = 1 << 20) {
  ReadArchive read;
  Dribble source(bytes, piece);
  TarReader reader(source, limits);
  Rebuild rebuild;
  reader.set_observer(&rebuild);
  reader.set_report(&read.report);
  while (const TarEntry* entry = reader.next()) {
    ReadEntry copy{*entry, {}, reader.entry_offset()};
    for (auto part = reader.content(); !part.empty(); part = reader.content()) {
      rebuild.structure(part);
      copy.content.append(reinterpret_cast<const char*>(part.data()), part.size());
    }
    CHECK(copy.content.size() == copy.stored_size);
    read.entries.push_back(std::move(copy));
  }
  CHECK(reader.entries() == read.entries.size());
  CHECK(reader.offset() == bytes.size());
  CHECK((rebuild.text == bytes));
  read.end = reader.end();
  CHECK(reader.next() == nullptr);
  return read;
}

/// The only entry of an archive.
inline ReadEntry read_one(std::string_view bytes) {
  ReadArchive read = read_archive(bytes);
  REQUIRE(read.entries.size() == 1);
  return read.entries.front();
}

/// The message with which an archive is refused; empty where it isn't.
inline std::string refusal(std::string_view bytes, errc code = errc::bad_archive, TarLimits limits = {}) {
  MemorySource source(bytes);
  TarReader reader(source, limits);
  try {
    while (reader.next() != nullptr) {
      while (!reader.content().empty()) continue;
    }
  } catch (const Error& e) {
    CHECK(e.code() == code);
    return e.what();
  }
  return {};
}

}  // namespace strata::test
