#include "tree/file_writers.hpp"

#include <strata/error.hpp>

#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "tree/directory.hpp"

#include <boost/filesystem/fstream.hpp>
#include <boost/filesystem/operations.hpp>

#include <unistd.h>

#include <string>

using namespace strata;
using namespace strata::detail;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

struct Fixture {
  ScratchDirectory scratch;
  Report report;
  bool altered = false;
  ObjectSetter setter{Owners::keep, report, Conformance::compat, &altered};
  std::shared_ptr<const FileDescriptor> root = opened("root");

  std::shared_ptr<const FileDescriptor> opened(const std::string& name) {
    return std::make_shared<const FileDescriptor>(open_directory(scratch.directory(name)));
  }
  NewFile file(const std::string& name, std::shared_ptr<const FileDescriptor> directory = {}) {
    return {directory ? directory : root,
            name,
            0640,
            ~std::uint32_t{0},
            {.mode = 0640, .uid = ::geteuid(), .gid = ::getegid(), .mtime = {1234567890, 5}, .xattrs = {}},
            name};
  }
  std::string content(const std::string& name) {
    fs::ifstream in(scratch.path() / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

/// Bytes whose keeper is counted.
struct Kept {
  explicit Kept(const std::string& from) : text(std::make_shared<const std::string>(from)) {}
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(*text)); }
  std::shared_ptr<const std::string> text;
};

}  // namespace

TEST_CASE("files are made in threads, with content, holes and attributes") {
  Fixture f;
  const auto inside = f.opened("root/inside");
  FileWriters writers(3, f.setter);
  for (int i = 0; i < 1000; ++i) {
    const Kept text(std::string(static_cast<std::size_t>(i) * 37, static_cast<char>('a' + i % 26)));
    writers.begin(f.file(std::to_string(i), i % 3 == 0 ? inside : nullptr), i % 3 == 0);
    writers.write(text.bytes(), text.text);
    writers.end();
  }
  const Kept large(std::string(300'000, 'x'));
  writers.begin(f.file("large"), 0);
  for (int i = 0; i < 10; ++i) writers.write(large.bytes(), large.text);
  writers.hole(1 << 20);
  writers.write(large.bytes(), large.text);
  writers.hole(1 << 20);
  writers.end();
  writers.drain();

  for (int i = 0; i < 1000; ++i) {
    const std::string name = (i % 3 == 0 ? "root/inside/" : "root/") + std::to_string(i);
    INFO(name);
    REQUIRE(f.content(name) == std::string(static_cast<std::size_t>(i) * 37, static_cast<char>('a' + i % 26)));
    const Metadata now = *try_stat(f.root->get(), i % 3 == 0 ? "inside/" + std::to_string(i) : std::to_string(i));
    REQUIRE((now.mode & 07777) == 0640);
    REQUIRE(now.mtime == Timestamp{1234567890, 5});
  }
  CHECK(f.content("root/large") == std::string(3'000'000, 'x') + std::string(1 << 20, '\0') +
                                       std::string(300'000, 'x') + std::string(1 << 20, '\0'));
  CHECK(large.text.use_count() == 1);
}

TEST_CASE("what can't be made is thrown, and nothing more is made") {
  Fixture f;
  FileWriters writers(2, f.setter);
  writers.begin(f.file("there"), 0);
  writers.end();
  writers.drain();
  writers.begin(f.file("there"), 0);
  writers.end();
  try {
    writers.drain();
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("'there'") != std::string::npos);
  }
  writers.begin(f.file("after"), 0);
  writers.end();
  CHECK_THROWS_AS(writers.drain(), Error);
  CHECK(!fs::exists(f.scratch.path() / "root/after"));
}

TEST_CASE("a failure gives back what was waiting") {
  Fixture f;
  const Kept text(std::string(20'000, 'x'));
  FileWriters writers(2, f.setter);
  writers.begin(f.file("there"), 0);
  writers.end();
  writers.drain();
  const auto all = [&] {
    for (std::uint32_t i = 0; i < 2000; ++i) {
      writers.begin(f.file(i == 200 ? "there" : std::to_string(i)), i / 100);
      writers.write(text.bytes(), text.text);
      writers.end();
    }
    writers.drain();
  };
  CHECK_THROWS_AS(all(), Error);
  // But what was never handed over, and what another thread is still at.
  for (int i = 0; i < 10'000 && text.text.use_count() > 1 + 32; ++i) ::usleep(1000);
  CHECK(text.text.use_count() <= 1 + 32);
}

TEST_CASE("a failure is met although there is ever more to do") {
  Fixture f;
  FileWriters writers(2, f.setter);
  const auto forever = [&] {
    for (;;) {
      writers.begin(f.file("the same name"), 0);
      writers.end();
    }
  };
  CHECK_THROWS_AS(forever(), Error);
}
