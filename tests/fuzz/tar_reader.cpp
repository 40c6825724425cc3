// TarReader: no input may make it keep more memory than its limits allow; what it reads whole must be, structure and
// content together, the input; and what TarWriter makes of it must be read back the same.
#include "fuzz/fuzz.hpp"

#include <strata/byte_stream.hpp>
#include <strata/error.hpp>
#include <strata/report.hpp>
#include <strata/tar.hpp>

#include <string>
#include <string_view>

using namespace strata;
using namespace strata::test;

namespace {

struct Rebuilt final : TarReader::RawObserver {
  void structure(std::span<const std::byte> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string text;
};

/// Extents that are ascending, apart, inside the file, and as long as what is stored.
void check_extents(const TarEntry& entry) {
  std::uint64_t end = 0;
  std::uint64_t data = 0;
  for (const auto& extent : entry.extents) {
    require(extent.size != 0 && extent.offset >= end);
    end = extent.offset + extent.size;
    data += extent.size;
  }
  require(end <= entry.size && (!entry.sparse || data == entry.stored_size));
}

std::string copy_of(const TarEntry& entry, const std::string& content) {
  MemorySink sink;
  TarWriter writer(sink);
  try {
    writer.add(entry);
  } catch (const Error&) {
    return {};  // an archive may hold what nobody should write: empty names, say
  }
  writer.content(std::as_bytes(std::span(content)));
  writer.finish();
  return sink.take();
}

void check_copy(const TarEntry& entry, const std::string& content) {
  const std::string copy = copy_of(entry, content);
  if (copy.empty()) return;
  MemorySource source{std::string_view(copy)};
  TarReader reader(source, {.header_bytes = 16 << 20, .extents = 1 << 20, .path_bytes = 1 << 20});
  const TarEntry* again = reader.next();
  require(again != nullptr);
  std::string path = entry.path;
  if (entry.type == TarType::directory && !path.ends_with('/')) path += '/';
  require(again->path == path && again->link == entry.link && again->type == entry.type);
  require(again->size == entry.size && again->stored_size == entry.stored_size && again->extents == entry.extents);
  require(again->mode == entry.mode && again->uid == entry.uid && again->gid == entry.gid);
  require(again->mtime == entry.mtime && again->atime == entry.atime && again->ctime == entry.ctime);
  require(again->xattrs == entry.xattrs);
  require(again->device_major == entry.device_major && again->device_minor == entry.device_minor);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Checksums are made right, so that mutations reach what is behind them. What a lone zero block is stays.
  std::string input(reinterpret_cast<const char*>(data), size);
  for (std::size_t at = 0; at + 512 <= input.size(); at += 512) {
    if (input.compare(at + 148, 4, "sum?") != 0) continue;
    std::uint32_t sum = 8 * ' ';
    for (std::size_t i = 0; i < 512; ++i)
      if (i < 148 || i >= 156) sum += static_cast<unsigned char>(input[at + i]);
    char text[8];
    std::snprintf(text, sizeof text, "%06o", sum);
    input.replace(at + 148, 8, std::string(text, 7) + ' ');
  }
  MemorySource source{std::string_view(input)};
  TarReader reader(source, {.header_bytes = 1 << 16, .extents = 1 << 12, .path_bytes = 1 << 12});
  Rebuilt rebuilt;
  Report report;
  reader.set_observer(&rebuilt);
  reader.set_report(&report);
  try {
    while (const TarEntry* entry = reader.next()) {
      check_extents(*entry);
      std::string content;
      for (auto piece = reader.content(); !piece.empty(); piece = reader.content()) {
        content.append(reinterpret_cast<const char*>(piece.data()), piece.size());
        rebuilt.structure(piece);
      }
      require(content.size() == entry->stored_size);
      check_copy(*entry, content);
    }
    require(rebuilt.text == input && reader.offset() == input.size());
  } catch (const Error& e) {
    require(e.code() == errc::bad_archive || e.code() == errc::limit_exceeded);
  }
  return 0;
}
