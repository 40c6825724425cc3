#include <strata/diff_writer.hpp>

#include <strata/error.hpp>
#include <strata/tar.hpp>

#include "support/catch.hpp"
#include "support/random_changes.hpp"
#include "support/scratch.hpp"
#include "support/tree_changes.hpp"

#include <boost/filesystem/fstream.hpp>

#include <cstdlib>

using namespace strata;
using namespace strata::test;

namespace {

struct Written {
  DiffResult result;
  std::string bytes;
};

template <class Hash, class Codec>
Written write(const boost::filesystem::path& older, const boost::filesystem::path& newer,
              const DiffOptions& options = {}) {
  MemorySink sink;
  DiffResult result = DiffWriter<Hash, Codec>().write_trees(older, newer, sink, options);
  return {std::move(result), sink.take()};
}

template <class Codec>
std::string decoded(const std::string& bytes) {
  MemorySource source(bytes);
  const auto decoder = CompressionPolicy::of<Codec>().decode(source);
  MemorySink sink;
  copy(*decoder, sink);
  return sink.take();
}

}  // namespace

TEMPLATE_TEST_CASE("the digests and sizes are those of what was written", "[diff]", Gzip, Zstd, Uncompressed) {
  const ScratchDirectory scratch;
  const auto older = scratch.directory("older"), newer = scratch.directory("newer");
  RandomChanges(newer, 7).make(60);
  const Written written = write<Sha256, TestType>(older, newer);
  CHECK(written.result.blob == digest_of<Sha256>(written.bytes));
  CHECK(written.result.blob_size == written.bytes.size());
  const std::string tar = decoded<TestType>(written.bytes);
  CHECK(written.result.diff_id == digest_of<Sha256>(tar));
  CHECK(written.result.tar_size == tar.size());
  CHECK(written.result.media_type == TestType::media_type);
  CHECK(write<Sha256, TestType>(older, newer).bytes == written.bytes);

  std::uint64_t entries = 0;
  MemorySource source(tar);
  TarReader reader(source);
  while (reader.next()) ++entries;
  CHECK(written.result.entries == entries);
  CHECK(reader.end() == TarEnd::marked);
}

TEST_CASE("a diff is digested by the hash that was chosen", "[diff]") {
  const ScratchDirectory scratch;
  const auto newer = scratch.directory("newer");
  const Written written = write<Sha512, Uncompressed>(scratch.directory("older"), newer);
  CHECK(written.result.diff_id == digest_of<Sha512>(written.bytes));
}

TEST_CASE("SOURCE_DATE_EPOCH clamps times where the caller doesn't say", "[diff]") {
  const ScratchDirectory scratch;
  const auto older = scratch.directory("older"), newer = scratch.directory("newer");
  boost::filesystem::ofstream(newer / "f") << "x";
  const auto latest_of = [&](const DiffOptions& options) {
    const Written written = write<Sha256, Uncompressed>(older, newer, options);
    MemorySource source(written.bytes);
    TarReader reader(source);
    Timestamp latest;
    while (const TarEntry* entry = reader.next()) latest = std::max(latest, entry->mtime);
    return latest;
  };
  struct Restore {
    ~Restore() { ::unsetenv("SOURCE_DATE_EPOCH"); }
  } restore;
  ::setenv("SOURCE_DATE_EPOCH", "1000", 1);
  CHECK(latest_of({}) == Timestamp{1000, 0});
  DiffOptions options;
  options.latest_time = 500;
  CHECK(latest_of(options) == Timestamp{500, 0});
  ::setenv("SOURCE_DATE_EPOCH", "yesterday", 1);
  CHECK_THROWS_WITH(latest_of({}), Catch::Contains("SOURCE_DATE_EPOCH"));
}

TEST_CASE("an observer sees a diff grow, and its exception ends it", "[diff]") {
  const ScratchDirectory scratch;
  const auto older = scratch.directory("older"), newer = scratch.directory("newer");
  boost::filesystem::ofstream(newer / "f") << std::string(4 << 20, 'x');
  std::vector<Progress> seen;
  DiffOptions options;
  options.control.observer = [&](const Progress& progress) { seen.push_back(progress); };
  const Written written = write<Sha256, Uncompressed>(older, newer, options);
  REQUIRE(seen.size() >= 15);
  CHECK(seen.back().phase == Progress::Phase::writing);
  for (std::size_t i = 1; i < seen.size(); ++i) CHECK(seen[i].bytes >= seen[i - 1].bytes);
  CHECK(seen.back().bytes > 3 << 20);
  options.control.observer = [](const Progress&) { throw std::runtime_error("enough"); };
  CHECK_THROWS_WITH((write<Sha256, Uncompressed>(older, newer, options)), "enough");
}

TEST_CASE("a diff can be stopped", "[diff]") {
  const ScratchDirectory scratch;
  const auto older = scratch.directory("older"), newer = scratch.directory("newer");
  boost::filesystem::ofstream(newer / "f") << std::string(4 << 20, 'x');
  std::stop_source stop;
  DiffOptions options;
  options.control.stop = stop.get_token();
  options.control.observer = [&](const Progress& progress) {
    if (progress.bytes > 1 << 20) stop.request_stop();
  };
  try {
    write<Sha256, Uncompressed>(older, newer, options);
    FAIL("written");
  } catch (const Error& error) {
    CHECK(error.code() == errc::cancelled);
  }
}

TEST_CASE("files of the same size and time are read, unless times are trusted", "[diff]") {
  const ScratchDirectory scratch;
  const auto older = scratch.directory("older"), newer = scratch.path() / "newer";
  run_script_in(older,
                "mkdir d; for name in bytes size mode time same; do echo 12345 > d/$name; done; ln -s a d/link\n"
                "touch -h -d @1000 d/* d .; cp -a . ../newer; cd ../newer/d\n"
                "echo 54321 > bytes; echo 123456 > size; chmod 600 mode; ln -sf b link\n"
                "touch -h -d @1000 bytes size link . ..; touch -d @1001 time");
  const auto names = [&](bool trust_times) {
    DiffOptions options;
    options.trust_times = trust_times;
    const Written written = write<Sha256, Uncompressed>(older, newer, options);
    MemorySource source(written.bytes);
    TarReader reader(source);
    std::string all;
    while (const TarEntry* entry = reader.next()) all += entry->path + " ";
    return all;
  };
  CHECK(names(false) == "d/ d/bytes d/link d/mode d/size d/time ");
  CHECK(names(true) == "d/ d/link d/mode d/size d/time ");
}

TEST_CASE("many directories with files of every size give the same bytes each time", "[diff]") {
  const ScratchDirectory scratch;
  const auto older = scratch.directory("older"), newer = scratch.directory("newer");
  std::string content;
  for (int i = 0; i < 200; ++i) {
    const auto directory = newer / ("d" + std::to_string(i % 20)) / ("e" + std::to_string(i));
    boost::filesystem::create_directories(directory);
    content.append(static_cast<std::size_t>(i * 10), static_cast<char>('a' + i % 26));
    boost::filesystem::ofstream(directory / "file") << content;
    boost::filesystem::ofstream(directory / "empty");
  }
  const Written one = write<Sha256, Uncompressed>(older, newer);
  for (int i = 0; i < 3; ++i) CHECK(write<Sha256, Uncompressed>(older, newer).result.diff_id == one.result.diff_id);
  CHECK(one.result.entries == 20 + 200 * 3 + 1);

  MemorySource source(one.bytes);
  TarReader reader(source);
  while (const TarEntry* entry = reader.next()) {
    std::string read;
    for (auto piece = reader.content(); !piece.empty(); piece = reader.content())
      read.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    if (entry->path.ends_with("/file")) {
      boost::filesystem::ifstream file(newer / entry->path);
      const std::string expected{std::istreambuf_iterator<char>(file), {}};
      if (read != expected) FAIL_CHECK(entry->path);
    }
  }
}
