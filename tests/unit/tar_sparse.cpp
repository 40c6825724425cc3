// Sparse files: the maps of old GNU, star, and GNU's PAX versions 0.0, 0.1 and 1.0, and what is refused.
#include "support/catch.hpp"
#include "support/tar_builder.hpp"
#include "support/tar_reading.hpp"

using namespace strata;
using namespace strata::test;
using Catch::Contains;

namespace {

using Extents = std::vector<SparseExtent>;

const Extents three{{0, 3}, {1000, 2}, {5000, 5}};
const std::string data = "abcdefghij";
constexpr std::uint64_t file_size = 9000;

std::string table(const Extents& extents) {
  std::string text;
  for (const auto& extent : extents) text += octal(extent.offset, 11) + '\0' + octal(extent.size, 11) + '\0';
  return text;
}

std::string map_text(const Extents& extents, char separator) {
  std::string text;
  for (const auto& extent : extents) {
    text += std::to_string(extent.offset) + separator + std::to_string(extent.size) + separator;
  }
  return text;
}

std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512);
  return text;
}

/// A sparse file of each form, with this map.
std::string old_gnu(const Extents& extents, std::uint64_t real = file_size) {
  const Extents first(extents.begin(), extents.begin() + std::min<std::ptrdiff_t>(4, std::ssize(extents)));
  const bool more = extents.size() > 4;
  TarBuilder tar;
  tar.raw(header_block({.path = "sparse",
                        .type = 'S',
                        .size = octal(data.size(), 11),
                        .magic = gnu_magic,
                        .raw = {{386, table(first)}, {482, more ? "\1" : ""}, {483, octal(real, 11)}}}));
  for (std::size_t at = 4; at < extents.size(); at += 21) {
    const std::size_t end = std::min(extents.size(), at + 21);
    std::string block = table(
        Extents(extents.begin() + static_cast<std::ptrdiff_t>(at), extents.begin() + static_cast<std::ptrdiff_t>(end)));
    block.resize(512);
    block[504] = end < extents.size() ? '\1' : '\0';
    tar.raw(block);
  }
  return tar.raw(data).pad().add({.path = "next"}).end().bytes;
}

std::string star(const Extents& extents) {
  return TarBuilder()
      .raw(header_block({.path = "sparse",
                         .type = 'S',
                         .size = octal(data.size(), 11),
                         .raw = {{356, table(extents)}, {452, octal(file_size, 11)}, {508, std::string("tar\0", 4)}}}))
      .raw(data)
      .pad()
      .add({.path = "next"})
      .end()
      .bytes;
}

std::string gnu_0_0(const Extents& extents) {
  PaxList records{{"GNU.sparse.size", std::to_string(file_size)},
                  {"GNU.sparse.numblocks", std::to_string(extents.size())}};
  for (const auto& extent : extents) {
    records.emplace_back("GNU.sparse.offset", std::to_string(extent.offset));
    records.emplace_back("GNU.sparse.numbytes", std::to_string(extent.size));
  }
  return TarBuilder().pax(records).add({.path = "sparse", .content = data}).add({.path = "next"}).end().bytes;
}

std::string gnu_0_1(const Extents& extents, std::string count = {}) {
  std::string map = map_text(extents, ',');
  if (!map.empty()) map.pop_back();
  if (count.empty()) count = std::to_string(extents.size());
  return TarBuilder()
      .pax({{"GNU.sparse.size", std::to_string(file_size)},
            {"GNU.sparse.numblocks", count},
            {"GNU.sparse.map", map},
            {"GNU.sparse.name", "sparse"}})
      .add({.path = "GNUSparseFile.1/sparse", .content = data})
      .add({.path = "next"})
      .end()
      .bytes;
}

std::string gnu_1_0_text(const std::string& map, const std::string& size = std::to_string(file_size)) {
  return TarBuilder()
      .pax({{"GNU.sparse.major", "1"},
            {"GNU.sparse.minor", "0"},
            {"GNU.sparse.name", "sparse"},
            {"GNU.sparse.realsize", size}})
      .add({.path = "GNUSparseFile.1/sparse", .content = map + data})
      .add({.path = "next"})
      .end()
      .bytes;
}

std::string gnu_1_0(const Extents& extents) {
  return gnu_1_0_text(padded(std::to_string(extents.size()) + '\n' + map_text(extents, '\n')));
}

void check_sparse(const std::string& bytes, const Extents& extents) {
  for (const std::size_t piece : {1U, 100U, 1U << 20}) {
    const auto read = read_archive(bytes, {}, piece);
    REQUIRE(read.entries.size() == 2);
    const auto& entry = read.entries[0];
    CHECK(entry.path == "sparse");
    CHECK(entry.type == TarType::file);
    CHECK(entry.sparse);
    CHECK(entry.size == file_size);
    CHECK(entry.stored_size == data.size());
    CHECK(entry.content == data);
    CHECK(entry.extents == extents);
    CHECK_FALSE(read.entries[1].sparse);
    CHECK(read.entries[1].extents.empty());
  }
}

}  // namespace

TEST_CASE("every form of a sparse map is read") {
  check_sparse(old_gnu(three), three);
  check_sparse(star(three), three);
  check_sparse(gnu_0_0(three), three);
  check_sparse(gnu_0_1(three), three);
  check_sparse(gnu_1_0(three), three);
}

TEST_CASE("a map may be as long as it likes") {
  Extents many;
  for (std::uint64_t i = 0; i < 10; ++i) many.push_back({i * 100, 1});
  check_sparse(old_gnu(many), many);
  check_sparse(gnu_1_0(many), many);
  // Longer than one block of text, and than one extension block.
  Extents empty = many;
  for (std::uint64_t i = 10; i < 90; ++i) empty.push_back({i * 100, 0});
  check_sparse(old_gnu(empty), many);
  check_sparse(gnu_0_1(empty), many);
  check_sparse(gnu_1_0(empty), many);
}

TEST_CASE("an end marker in a map is no extent") {
  Extents marked = three;
  marked.push_back({file_size, 0});
  check_sparse(old_gnu(marked), three);
  check_sparse(gnu_1_0(marked), three);
}

TEST_CASE("a file may be all hole, or all data") {
  const auto hole =
      TarBuilder()
          .pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.realsize", "70000000000"}})
          .add({.path = "f", .content = padded("1\n70000000000\n0\n")})
          .end()
          .bytes;
  const auto entry = read_one(hole);
  CHECK(entry.sparse);
  CHECK(entry.size == 70000000000);
  CHECK(entry.stored_size == 0);
  CHECK(entry.extents.empty());
  const auto full = read_archive(old_gnu({{0, 10}}, 10));
  CHECK(full.entries.at(0).extents == Extents{{0, 10}});
}

TEST_CASE("a map that can't be true is refused") {
  for (const Extents& bad : {Extents{{0, 5}, {3, 5}},            // overlap
                             Extents{{100, 5}, {0, 5}},          // backwards
                             Extents{{0, 5}, {8996, 5}},         // beyond the end
                             Extents{{0, 5}}, Extents{{0, 11}},  // less or more than there is
                             Extents{}, Extents{{9001, 0}, {9002, 10}}}) {
    CHECK_THAT(refusal(old_gnu(bad)), Contains("sparse map"));
    CHECK_THAT(refusal(star(bad)), Contains("sparse map"));
    CHECK_THAT(refusal(gnu_0_1(bad)), Contains("sparse map"));
    CHECK_THAT(refusal(gnu_1_0(bad)), Contains("sparse map"));
  }
}

TEST_CASE("a map with numbers that are none is refused") {
  for (const char* bad : {"x\n", "1\n0\n", "\n", "1\n0\n-5\n", "1\n9223372036854775807\n9223372036854775807\n",
                          "99999999999999999999\n", "1 0 10", "1\n0,10\n"}) {
    CHECK_THAT(refusal(gnu_1_0_text(padded(bad))), Contains("sparse map"));
  }
  CHECK_THAT(refusal(gnu_0_1(three, "2")), Contains("number of extents"));
  CHECK_THAT(refusal(gnu_1_0_text(padded("1\n0\n10\n"), "-1")), Contains("GNU.sparse.realsize"));
}

TEST_CASE("a map longer than its content is refused") {
  const auto bytes = TarBuilder()
                         .pax({{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}})
                         .add({.path = "f", .content = "1\n0\n0\n"})
                         .end()
                         .bytes;
  CHECK_THAT(refusal(bytes), Contains("longer than its content"));
}

TEST_CASE("an archive that ends within a map is refused") {
  Extents many;
  for (std::uint64_t i = 0; i < 10; ++i) many.push_back({i * 100, 1});
  CHECK_THAT(refusal(old_gnu(many).substr(0, 600)), Contains("in the middle of its sparse map"));
  CHECK_THAT(refusal(gnu_1_0(many).substr(0, 1540)), Contains("in the middle of its sparse map"));
}

TEST_CASE("a sparse file needs a form that is known") {
  CHECK_THAT(refusal(TarBuilder().add({.path = "f", .type = 'S'}).end().bytes), Contains("neither GNU's nor star's"));
  CHECK_THAT(refusal(TarBuilder().pax({{"GNU.sparse.major", "2"}}).add({.path = "f"}).end().bytes),
             Contains("unknown version '2.'"));
  CHECK_THAT(refusal(TarBuilder().pax({{"GNU.sparse.map", "0,0"}}).add({.path = "d", .type = '5'}).end().bytes),
             Contains("no file"));
}

TEST_CASE("pairs of 0.0 that are out of order are refused") {
  const PaxList records{{"GNU.sparse.numbytes", "1"}, {"GNU.sparse.offset", "0"}};
  CHECK_THAT(refusal(TarBuilder().pax(records).add({.path = "f", .content = "x"}).end().bytes),
             Contains("out of order"));
}

TEST_CASE("extents are limited in number") {
  const TarLimits limits{.header_bytes = 1 << 20, .extents = 2, .path_bytes = 100};
  CHECK_THAT(refusal(gnu_1_0(three), errc::limit_exceeded, limits), Contains("more than 2 extents"));
  CHECK_THAT(refusal(old_gnu(three), errc::limit_exceeded, limits), Contains("more than 2 extents"));
}
