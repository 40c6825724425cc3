#include <strata/byte_stream.hpp>
#include <strata/error.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"

#include <boost/filesystem.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <thread>

using namespace strata;
using test::bytes_of, test::noise;

namespace {
std::string read_all(ByteSource& source) {
  MemorySink sink;
  copy(source, sink);
  return sink.take();
}
std::string message_of(const auto& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}
}  // namespace

TEST_CASE("a file is written, and read from its begin to its end", "[byte_stream]") {
  const test::ScratchDirectory scratch;
  const auto path = scratch.path() / "a file";
  const std::string text = noise(300'001);
  {
    FileSink sink = create_file(path);
    sink.write(bytes_of(text));
    sink.write({});
    sink.finish();
  }
  CHECK(boost::filesystem::file_size(path) == text.size());
  FileSource source = open_file(path);
  CHECK(source.size() == text.size());
  CHECK(source.name() == quoted(path.native()));
  CHECK((read_all(source) == text));
  std::byte more;
  CHECK(source.read({&more, 1}) == 0);
  CHECK(boost::filesystem::file_size((create_file(path), path)) == 0);  // emptied
}

TEST_CASE("a descriptor is read from where it stands", "[byte_stream]") {
  const test::ScratchDirectory scratch;
  const std::string path = (scratch.path() / "f").native();
  create_file(path).write(bytes_of("0123456789"));
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(::lseek(fd.get(), 4, SEEK_SET) == 4);
  FileSource source(std::move(fd), "the file");
  CHECK(source.size() == 6);
  CHECK(read_all(source) == "456789");
}

TEST_CASE("the size of a pipe isn't known, and its end is the end", "[byte_stream]") {
  std::array<int, 2> ends;
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  FileSource source{FileDescriptor(ends[0]), "the pipe"};
  CHECK_FALSE(source.size());
  const std::string text = noise(200'000);  // more than a pipe holds
  std::jthread writer([&, fd = ends[1]] { FileSink(FileDescriptor(fd), "the pipe").write(bytes_of(text)); });
  CHECK((read_all(source) == text));
}

TEST_CASE("errors of files name the path and the cause", "[byte_stream]") {
  const test::ScratchDirectory scratch;
  const auto absent = scratch.path() / "no\nsuch";
  CHECK(message_of([&] { open_file(absent); }) ==
        "cannot open " + quoted(absent.native()) + ": No such file or directory");
  CHECK(message_of([&] { create_file(absent / "x"); }) ==
        "cannot create " + quoted((absent / "x").native()) + ": No such file or directory");
  std::byte byte{};
  CHECK(message_of([&] {
          open_file(scratch.path()).read({&byte, 1});
        }) == "cannot read " + quoted(scratch.path().native()) + ": Is a directory");
  if (::access("/dev/full", W_OK) == 0)
    CHECK(message_of([&] {
            create_file("/dev/full").write({&byte, 1});
          }) ==
          "cannot write '/dev/full': No space left on device; make room on the filesystem: bytes (df) and inodes "
          "(df -i)");
}

TEST_CASE("memory is read in any pieces, once", "[byte_stream]") {
  MemorySource source("abcdef");
  CHECK(source.size() == 6u);
  std::array<std::byte, 4> into;
  CHECK(source.read(into) == 4);
  CHECK(source.read(into) == 2);
  CHECK(into[0] == std::byte{'e'});
  CHECK(source.read(into) == 0);
  CHECK(source.read(into) == 0);
  CHECK(source.size() == 6u);
  MemorySource empty("");
  CHECK(read_all(empty) == "");
  CHECK(empty.name() == "the input");
}

TEST_CASE("iostreams are read and written", "[byte_stream]") {
  const std::string text = noise(200'000);
  std::istringstream in(text);
  StreamSource source(in);
  CHECK((read_all(source) == text));
  std::byte more;
  CHECK(source.read({&more, 1}) == 0);
  std::ostringstream out;
  StreamSink sink(out);
  sink.write(bytes_of(text));
  sink.finish();
  CHECK((out.str() == text));
}

TEST_CASE("an iostream that throws at its end just ends", "[byte_stream]") {
  std::istringstream in("abc");
  in.exceptions(std::ios::failbit | std::ios::badbit | std::ios::eofbit);
  StreamSource source(in);
  CHECK(read_all(source) == "abc");
}

TEST_CASE("an iostream that fails is an error, not an end", "[byte_stream]") {
  std::ifstream never_opened("/nonexistent/file");
  StreamSource source(never_opened);
  CHECK_THROWS_AS(read_all(source), Error);
  std::ifstream directory("/");  // opens, but can't be read
  StreamSource unreadable(directory);
  CHECK_THROWS_AS(read_all(unreadable), Error);
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  StreamSink sink(out);
  CHECK_THROWS_AS(sink.write(bytes_of("x")), Error);
  CHECK_THROWS_AS(sink.finish(), Error);
}

TEST_CASE("copying counts what it copies", "[byte_stream]") {
  const std::string text = noise(1'000'000);
  test::PieceSource source(text, test::Pieces(5000, 1));
  NullSink sink;
  CHECK(copy(source, sink) == text.size());
  CHECK(sink.size() == text.size());
}

TEST_CASE("a descriptor has one owner, and is closed with it", "[file_descriptor]") {
  const auto is_open = [](int fd) { return ::fcntl(fd, F_GETFD) != -1; };
  const auto opened = [] { return FileDescriptor(::open("/", O_RDONLY | O_CLOEXEC)); };
  int number = -1;
  {
    FileDescriptor first = opened();
    REQUIRE(first);
    number = first.get();
    FileDescriptor second(std::move(first));
    CHECK_FALSE(first);
    CHECK(second.get() == number);
    CHECK(is_open(number));
    FileDescriptor third = opened();
    const int other = third.get();
    third = std::move(second);
    CHECK_FALSE(is_open(other));
    CHECK(third.get() == number);
    FileDescriptor& same = third;
    third = std::move(same);
    CHECK(third.get() == number);
  }
  CHECK_FALSE(is_open(number));
  FileDescriptor released = opened();
  number = released.release();
  CHECK_FALSE(released);
  released.reset();
  REQUIRE(is_open(number));
  errno = ENOTDIR;
  FileDescriptor(number).reset();
  CHECK(errno == ENOTDIR);
  CHECK_FALSE(FileDescriptor());
}
