// Prints the entries of a tar as JSON lines, for scripts that compare strata's reader with others. Bytes of names are
// shown as the characters of the same numbers (Latin-1), so that nothing is lost. The last line says how it ended: the
// error, if any, and whether structure and content together are the archive again, byte for byte.
//
//   tar_list ARCHIVE            entries
//   tar_list ARCHIVE --copy     reads it and writes it again through TarWriter to standard output
#include <strata/byte_stream.hpp>
#include <strata/error.hpp>
#include <strata/hash.hpp>
#include <strata/report.hpp>
#include <strata/tar.hpp>

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>

namespace {

using strata::TarEntry;

/// Content beyond this is not expanded to its holes and hashed.
constexpr std::uint64_t largest_hashed = 64 << 20;

std::string json(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes) {
    char code[8];
    std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned char>(c));
    if (c >= ' ' && c <= '~' && c != '"' && c != '\\') {
      out += c;
    } else {
      out += code;
    }
  }
  return out + '"';
}

std::string json(const strata::Timestamp& time) {
  char text[48];
  std::snprintf(text, sizeof text, "\"%lld.%09u\"", static_cast<long long>(time.seconds), time.nanoseconds);
  return text;
}

template <class Map>
std::string json_map(const Map& map) {
  std::string out;
  for (const auto& [key, value] : map) out += (out.empty() ? "" : ",") + json(key) + ":" + json(value);
  return "{" + out + "}";
}

/// Puts the archive together again from what the reader shows.
struct Rebuilt final : strata::TarReader::RawObserver {
  void structure(std::span<const std::byte> bytes) override {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string text;
};

std::string read_content(strata::TarReader& reader, Rebuilt& rebuilt) {
  std::string stored;
  for (auto piece = reader.content(); !piece.empty(); piece = reader.content()) {
    rebuilt.structure(piece);
    stored.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return stored;
}

std::string expanded(const TarEntry& entry, const std::string& stored) {
  if (!entry.sparse) return stored;
  std::string whole(entry.size, '\0');
  std::size_t from = 0;
  for (const auto& extent : entry.extents) {
    whole.replace(extent.offset, extent.size, stored, from, extent.size);
    from += extent.size;
  }
  return whole;
}

void print(const TarEntry& entry, const std::string& stored) {
  std::cout << "{\"path\":" << json(entry.path) << ",\"type\":\"" << static_cast<char>(entry.type)
            << "\",\"link\":" << json(entry.link) << ",\"mode\":" << entry.mode << ",\"uid\":" << entry.uid
            << ",\"gid\":" << entry.gid << ",\"user\":" << json(entry.user_name)
            << ",\"group\":" << json(entry.group_name) << ",\"size\":" << entry.size
            << ",\"stored\":" << entry.stored_size << ",\"mtime\":" << json(entry.mtime) << ",\"device\":["
            << entry.device_major << "," << entry.device_minor << "]"
            << ",\"sparse\":" << (entry.sparse ? "true" : "false") << ",\"extents\":" << entry.extents.size();
  if (entry.atime) std::cout << ",\"atime\":" << json(*entry.atime);
  if (entry.ctime) std::cout << ",\"ctime\":" << json(*entry.ctime);
  if (entry.type == strata::TarType::file && entry.size <= largest_hashed) {
    std::cout << ",\"sha256\":\"" << strata::digest_of<strata::Sha256>(expanded(entry, stored)).hex() << '"';
  }
  std::cout << ",\"xattrs\":" << json_map(entry.xattrs) << ",\"other\":" << json_map(entry.other_records) << "}\n";
}

int list(const std::string& archive) {
  strata::MemorySource source{std::string_view(archive)};
  strata::TarReader reader(source);
  Rebuilt rebuilt;
  strata::Report report;
  reader.set_observer(&rebuilt);
  reader.set_report(&report);
  std::string error;
  try {
    while (const TarEntry* entry = reader.next()) {
      const TarEntry copy = *entry;
      print(copy, read_content(reader, rebuilt));
    }
  } catch (const strata::Error& e) {
    error = e.what();
  }
  constexpr const char* ends[] = {"marked", "half", "unmarked", "cut"};
  std::cout << "{\"error\":" << json(error) << ",\"end\":\"" << ends[static_cast<int>(reader.end())]
            << "\",\"whole\":" << (rebuilt.text == archive ? "true" : "false") << ",\"events\":[";
  for (std::size_t i = 0; i < report.events().size(); ++i) {
    std::cout << (i == 0 ? "" : ",") << json(report.events()[i].path + ": " + report.events()[i].action);
  }
  std::cout << "]}\n";
  return 0;
}

int copy(const std::string& archive) {
  strata::MemorySource source{std::string_view(archive)};
  strata::TarReader reader(source);
  strata::StreamSink sink(std::cout);
  strata::TarWriter writer(sink);
  while (const TarEntry* entry = reader.next()) {
    writer.add(*entry);
    for (auto piece = reader.content(); !piece.empty(); piece = reader.content()) writer.content(piece);
  }
  writer.finish();
  sink.finish();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: tar_list ARCHIVE [--copy]\n";
    return 2;
  }
  std::ifstream file(argv[1], std::ios::binary);
  if (!file) {
    std::cerr << "cannot read " << argv[1] << '\n';
    return 1;
  }
  const std::string archive{std::istreambuf_iterator<char>(file), {}};
  try {
    return argc > 2 && std::string_view(argv[2]) == "--copy" ? copy(archive) : list(archive);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
