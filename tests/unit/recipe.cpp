// Recipes that a store didn't write so, or that don't fit their tree any more. That the right ones give the tar again,
// the tests of the store show.
#include "tree/recipe.hpp"

#include <strata/error.hpp>
#include <strata/file_descriptor.hpp>

#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/scratch.hpp"

#include <boost/filesystem/fstream.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace strata;
using namespace strata::detail;
using namespace strata::test;
using namespace std::string_literals;
using Catch::Contains;

namespace {

std::string number(std::uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) text += static_cast<char>(value | 0x80);
  return text + static_cast<char>(value);
}
std::string sized(const std::string& text) { return number(text.size()) + text; }

/// A tree of one file, `fs/a` with the content "hello".
struct Tree {
  Tree() {
    scratch.directory("fs");
    write("fs/a", "hello");
  }
  void write(const std::string& name, const std::string& content) const {
    boost::filesystem::ofstream(scratch.path() / name, std::ios::binary) << content;
  }
  /// What the recipe gives, or the message of its error.
  std::string read(const std::string& records, const RecipeSource::Damaged& damaged = {}) const {
    write("recipe", encode(CompressionPolicy::of<Zstd>(), "strata recipe 1\n" + records));
    const FileDescriptor tree(::open(scratch.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    std::string text(1000, '\0');
    try {
      RecipeSource source(tree.get(), damaged);
      text.resize(source.read(std::as_writable_bytes(std::span(text))));
    } catch (const Error& error) {
      CHECK(error.code() == errc::damaged);
      return error.what();
    }
    return text;
  }
  ScratchDirectory scratch;
};

/// A checksum that nothing has, so that a file shows what was read of it only where damage is borne.
const std::string checksum(8, '\0');

}  // namespace

TEST_CASE("a recipe gives literals and contents, one after the other") {
  const Tree tree;
  MemorySink made;
  RecipeWriter writer(made);
  writer.literal(bytes_of("<"));
  writer.begin_content(0, "a", 5, {});
  writer.content(bytes_of("hello"));
  writer.end_content();
  writer.begin_content(1, "a", 5, {{1, 2}, {4, 1}});
  writer.content(bytes_of("elo"));
  writer.end_content();
  writer.literal(bytes_of(">"));
  writer.finish();
  MemorySource source(made.text());
  MemorySink plain;
  copy(*CompressionPolicy::of<Zstd>().decode(source), plain);
  CHECK(tree.read(plain.text().substr(16)) == "<helloelo>");
}

TEST_CASE("a recipe that breaks its grammar is damaged") {
  const Tree tree;
  CHECK(tree.read("L" + sized("x") + "E") == "x");
  CHECK_THAT(tree.read(""), Contains("it is cut"));
  CHECK_THAT(tree.read("L" + number(1ULL << 63) + "x"), Contains("it is cut"));
  CHECK_THAT(tree.read("X"), Contains("unknown record"));
  CHECK_THAT(tree.read("L" + std::string(10, '\xff')), Contains("more than 64 bits"));
  CHECK_THAT(tree.read("F" + number(1ULL << 32)), Contains("too large a number"));
  CHECK_THAT(tree.read("F" + number(0) + number(1ULL << 40)), Contains("path that is too long"));
}

TEST_CASE("a recipe names no file outside of its tree") {
  const Tree tree;
  for (const std::string& path : {"../fs/a"s, "a/.."s, ".."s, "d/../a"s, "/etc/passwd"s, "a\0b"s}) {
    CAPTURE(path);
    CHECK_THAT(tree.read("F" + number(0) + sized(path) + number(5)), Contains("which a tree can't have"));
    CHECK_THROWS_AS(decode_moved(number(0) + sized(path)), Error);
  }
}

TEST_CASE("the numbers of a recipe are those of a file, and no more of them than a tar can have") {
  const Tree tree;
  const auto sparse = [&](const std::vector<std::uint64_t>& numbers) {
    std::string extents;
    for (const std::uint64_t one : numbers) extents += number(one);
    return tree.read("S" + number(0) + sized("a") + number(numbers.size() / 2) + extents + checksum + "E",
                     [](const auto&, const auto&) {});
  };
  CHECK(sparse({1, 2, 4, 1}) == "elo");
  for (const std::vector<std::uint64_t>& wrong :
       {std::vector<std::uint64_t>{4, 1, 1, 2}, {1, 2, 2, 1}, {1ULL << 63, 1}, {~0ULL, 1}, {1, ~0ULL}, {5, INT64_MAX}})
    CHECK_THAT(sparse(wrong), Contains("extents that no file can have"));
  CHECK_THAT(tree.read("F" + number(0) + sized("a") + number(1ULL << 63)), Contains("extents that no file can have"));
  CHECK_THAT(tree.read("S" + number(0) + sized("a") + number((1U << 20) + 1)), Contains("too many extents"));
}

TEST_CASE("a content that is no regular file is damage, in the tree and put aside") {
  const Tree tree;
  const auto kept = tree.scratch.directory("kept");
  const std::string record = "F" + number(0) + sized("b") + number(5) + checksum + "E";
  CHECK_THAT(tree.read(record), Contains("'b'") && Contains("missing"));
  for (const auto& path : {tree.scratch.path() / "fs/b", kept / "0"}) {
    boost::filesystem::create_directory(path);
    CHECK_THAT(tree.read(record), Contains("no regular file"));
    boost::filesystem::remove(path);
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    CHECK_THAT(tree.read(record), Contains("no regular file"));
    boost::filesystem::remove(path);
    REQUIRE(::symlink("a", path.c_str()) == 0);
    CHECK_THAT(tree.read(record), Contains("missing"));
    boost::filesystem::remove(path);
  }
}
