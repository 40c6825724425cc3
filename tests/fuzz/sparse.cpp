// Sparse maps in their three forms: what is taken is in order, within its limit and the file, and the same however the
// text was cut; and the map that is written of it says the same.
#include "tar/sparse.hpp"
#include "fuzz/fuzz.hpp"
#include "support/bytes.hpp"
#include "tar/malformed.hpp"

#include <optional>
#include <utility>

using namespace strata;
using namespace strata::detail;
using namespace strata::test;

namespace {

using Extents = std::vector<SparseExtent>;
constexpr std::uint64_t limit = 64;

struct Read {
  Extents extents;
  std::string refusal;
  std::size_t taken = 0;
  bool done = false;
  friend bool operator==(const Read&, const Read&) = default;
};

/// The whole, where a map is what `read` made of it.
template <class Reading>
Read read(Reading reading) {
  Read result;
  SparseMap map(result.extents, limit);
  try {
    reading(map, result);
  } catch (const Malformed& malformed) {
    require(malformed.code == errc::bad_archive || malformed.code == errc::limit_exceeded);
    require(!malformed.detail.empty());
    result.refusal = malformed.detail;
  }
  return result;
}

Read read_text(std::string_view text, Pieces pieces) {
  return read([&](SparseMap& map, Read& result) {
    SparseTextParser parser(map);
    while (!parser.done() && result.taken < text.size()) {
      const std::string_view rest = text.substr(result.taken);
      const std::string_view piece = rest.substr(0, pieces.of(rest.size()));
      const std::size_t taken = parser.take(bytes_of(piece));
      require(taken == piece.size() || parser.done());
      result.taken += taken;
    }
    result.done = parser.done();
  });
}

void check(const Extents& extents) {
  require(extents.size() <= limit);
  std::uint64_t end = 0;
  std::uint64_t data = 0;
  for (const SparseExtent& extent : extents) {
    require(extent.size != 0 && extent.offset >= end);
    end = extent.offset + extent.size;
    require(end > extent.offset && end <= std::uint64_t{INT64_MAX});
    data += extent.size;
  }
  // As it is written, for a file that ends with the map or behind it.
  for (const std::uint64_t file_size : {end, end + 1}) {
    if (file_size > std::uint64_t{INT64_MAX} || extents.size() == limit) continue;
    const std::string text = format_sparse_text(extents, file_size);
    require(text.size() % tar_block == 0);
    Extents again;
    SparseMap map(again, limit);
    SparseTextParser parser(map);
    const std::size_t taken = parser.take(bytes_of(text));
    require(parser.done() && text.find_first_not_of('\0', taken) == text.npos && text.size() - taken < tar_block);
    require(again == extents);
    map.check(file_size, data);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const unsigned seed = input.byte();
  const std::string_view text = input.rest();

  const Read whole = read_text(text, Pieces(1 << 20, 0));
  Read pieces = read_text(text, Pieces(1 + seed % 7, seed));
  if (!whole.refusal.empty()) pieces.taken = whole.taken;  // counted by the pieces that were taken whole
  require(whole == pieces, whole.refusal + " / " + pieces.refusal);
  check(whole.extents);

  check(read([&](SparseMap& map, Read&) { map.add_table(text); }).extents);
  const std::optional<std::int64_t> blocks = seed % 2 == 0 ? std::nullopt : std::optional<std::int64_t>(seed / 2);
  const Read listed = read([&](SparseMap& map, Read&) { map.add_text(text, blocks); });
  check(listed.extents);
  // Extents without data are counted as well.
  require(!listed.refusal.empty() || !blocks || listed.extents.size() <= static_cast<std::uint64_t>(*blocks));
  return 0;
}
