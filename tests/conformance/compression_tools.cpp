// gzip and zstd against the command line tools, both ways. A tool that isn't here is named and passed over.
#include <strata/compression.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/scratch.hpp"

#include <cstdlib>
#include <string>
#include <vector>

using namespace strata;
using namespace strata::test;

namespace {

bool is_here(const std::string& command) {
  const std::string tool = command.substr(0, command.find(' '));
  if (std::system(("command -v " + tool + " >/dev/null").c_str()) == 0) return true;
  WARN("skipped: " << tool << " is not installed");
  return false;
}

std::string contents(const boost::filesystem::path& path) {
  FileSource source = open_file(path);
  MemorySink sink;
  copy(source, sink);
  return sink.take();
}

/// What the command makes of this input.
std::string through(const std::string& command, const std::string& input) {
  const ScratchDirectory scratch;
  create_file(scratch.path() / "in").write(bytes_of(input));
  const std::string in = (scratch.path() / "in").native(), out = (scratch.path() / "out").native();
  INFO(command);
  REQUIRE(std::system((command + " < '" + in + "' > '" + out + "'").c_str()) == 0);
  return contents(out);
}

std::vector<std::string> samples() {
  return {"", "x", prose(100), prose(1'500'000), noise(300'000), std::string(3'000'000, '\0')};
}

void reads_what_it_writes(const CompressionPolicy& policy, const std::string& command) {
  if (!is_here(command)) return;
  std::string both, content;
  for (const std::string& sample : samples()) {
    INFO(command);
    const std::string encoded = through(command, sample);
    CHECK(policy.recognises(head_of(encoded)));
    const Decoded decoded = decode(policy, encoded, Pieces(100'000, 1), Pieces(300'000, 1));
    CHECK(decoded.error == "");
    CHECK(decoded.trailing_bytes == 0);
    CHECK((decoded.text == sample));
    both += encoded;
    content += sample;
  }
  CHECK((decode(policy, both).text == content));
}

void is_read_by(const CompressionPolicy& policy, const std::string& command) {
  if (!is_here(command)) return;
  std::string both, content;
  for (const std::string& sample : samples()) {
    INFO(command);
    const std::string encoded = encode(policy, sample);
    CHECK((through(command, encoded) == sample));
    both += encoded;
    content += sample;
  }
  CHECK((through(command, both) == content));
}

const CompressionPolicy gzip = CompressionPolicy::of<Gzip>();
const CompressionPolicy zstd = CompressionPolicy::of<Zstd>();

}  // namespace

TEST_CASE("gzip reads what other tools write", "[compression]") {
  for (const char* command : {"gzip -1 -c", "gzip -6 -c", "gzip -9 -c", "gzip --rsyncable -c", "igzip -0 -c",
                              "igzip -3 -c", "pigz -i -b 128 -c", "bgzip -c"})
    reads_what_it_writes(gzip, command);
}

TEST_CASE("other tools read what gzip writes", "[compression]") {
  for (const char* command : {"gzip -dc", "pigz -dc", "bsdcat",
                              "python3 -c 'import gzip,sys; "
                              "sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))'"})
    is_read_by(gzip, command);
  is_read_by(CompressionPolicy::of(Gzip{.level = 9}), "gzip -dc");
}

TEST_CASE("gzip with the name and the time of a file is read", "[compression]") {
  if (!is_here("gzip")) return;
  const ScratchDirectory scratch;
  const std::string file = (scratch.path() / "named").native(), text = prose(50'000);
  create_file(file).write(bytes_of(text));
  REQUIRE(std::system(("gzip -k '" + file + "'").c_str()) == 0);
  const std::string encoded = contents(file + ".gz");
  CHECK(encoded.substr(10, 5) == "named");
  CHECK((decode(gzip, encoded).text == text));
}

TEST_CASE("zstd reads what other tools write", "[compression]") {
  for (const char* command :
       {"zstd -1 -q -c", "zstd -3 -q -c", "zstd -19 -q -c", "zstd --fast=5 -q -c", "zstd --no-check -q -c",
        "zstd -T2 -q -c", "zstd --long=27 -q -c", "zstd --ultra -22 -q -c", "zstd --rsyncable -q -c", "pzstd -q -c"})
    reads_what_it_writes(zstd, command);
}

TEST_CASE("other tools read what zstd writes", "[compression]") {
  for (const char* command : {"zstd -dc -q", "pzstd -dc -q", "unzstd -c -q"}) is_read_by(zstd, command);
  is_read_by(CompressionPolicy::of(Zstd{.level = 19}), "zstd -dc -q");
}
