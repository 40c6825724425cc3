#include <strata/transport/docker_archive.hpp>
#include <strata/transport/oci_layout.hpp>

#include "conformance/layer_source_suite.hpp"
#include "support/scratch.hpp"
#include "transport/archive_files.hpp"
#include "transport/new_archive.hpp"

#include <boost/filesystem/fstream.hpp>
#include <boost/filesystem/operations.hpp>

using namespace strata;
using namespace strata::test;
using Catch::Contains;
using detail::ArchiveFiles;
namespace fs = boost::filesystem;

namespace {

fs::path write(const ScratchDirectory& scratch, const std::string& bytes) {
  const fs::path path = scratch.path() / "archive.tar";
  fs::ofstream(path) << bytes;
  return path;
}

/// A member's content; "-" where there is none.
std::string member(const ArchiveFiles& files, const std::string& name) {
  const auto found = files.find(name);
  return found ? detail::read_range(*found, 1U << 30, name, {}) : "-";
}

std::string refusal(const fs::path& file, errc code) {
  try {
    const ArchiveFiles files(file);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return {};
}

std::string text_of(const fs::path& path) {
  fs::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace

TEST_CASE("members of an archive are found where they lie", "[transport_archive]") {
  const ScratchDirectory scratch;
  const std::string large = noise(3'000'000), edge = noise(262'144, 2);
  TarBuilder tar;
  tar.add(dir("d/")).add(file("./d//a", "a")).add(file("large", large)).add(file("edge", edge)).add(file("/b", "b"));
  tar.pax({{"path", std::string(300, 'n')}}).add(file("short", large));
  tar.add(file("twice", "first")).add(file("twice", "second")).add(file("empty", "")).end();
  const ArchiveFiles files(write(scratch, tar.bytes));
  CHECK(member(files, "d/a") == "a");
  CHECK((member(files, "large") == large));
  CHECK((member(files, "edge") == edge));
  CHECK(member(files, "b") == "b");
  CHECK((member(files, std::string(300, 'n')) == large));
  CHECK(member(files, "twice") == "second");
  CHECK(member(files, "empty").empty());
  CHECK(member(files, "d") == "-");
  CHECK(member(files, "absent") == "-");
  CHECK(member(files, "../b") == "-");
}

TEST_CASE("links are followed within an archive alone", "[transport_archive]") {
  const ScratchDirectory scratch;
  const ArchiveFiles files(
      write(scratch, layer({file("x/layer.tar", "old"), hard_link("h", "x/layer.tar"), file("x/layer.tar", "new"),
                            soft_link("y/layer.tar", "../x/layer.tar"), soft_link("z/layer.tar", "../y/layer.tar"),
                            soft_link("out", "../x/layer.tar"), soft_link("root", "/etc/passwd"), soft_link("a", "b"),
                            soft_link("b", "a"), soft_link("later/l", "../late"), file("late", "late"),
                            hard_link("nothing", "absent"), soft_link("self", ".")})));
  CHECK(member(files, "y/layer.tar") == "new");
  CHECK(member(files, "z/layer.tar") == "new");
  CHECK(member(files, "later/l") == "late");
  // A hardlink is the file that had the name, as it is when the archive is unpacked.
  CHECK(member(files, "h") == "old");
  for (const char* none : {"out", "root", "a", "nothing", "self"}) CHECK(member(files, none) == "-");
}

TEST_CASE("an archive that is cut, compressed or too much is refused, and says so", "[transport_archive]") {
  const ScratchDirectory scratch;
  const std::string whole = layer({file("a", noise(1'000'000))});
  CHECK_THAT(refusal(write(scratch, whole.substr(0, 500'000)), errc::bad_archive), Contains("in the middle"));
  CHECK_THAT(refusal(write(scratch, whole.substr(0, 300)), errc::bad_archive), Contains("header"));
  CHECK_THAT(refusal(write(scratch, gzipped(whole)), errc::unsupported), Contains("gzip") && Contains("gunzip"));
  CHECK_THAT(refusal(write(scratch, "BZh91AY"), errc::unsupported), Contains("bunzip2"));
  CHECK_THAT(refusal(write(scratch, std::string(2000, 'x')), errc::bad_archive), Contains("checksum"));
  CHECK_THAT(refusal(scratch.path(), errc::bad_argument), Contains("no regular file"));
  CHECK_FALSE(refusal(scratch.path() / "absent", errc::not_found).empty());
  TarBuilder many;
  for (std::uint64_t i = 0; i <= ArchiveFiles::most_members; ++i) many.add(file("a", ""));
  CHECK_THAT(refusal(write(scratch, many.end().bytes), errc::limit_exceeded), Contains("65536 members"));
}

TEST_CASE("what an archive claims to have behind its end isn't read on and on", "[transport_archive]") {
  const ScratchDirectory scratch;
  const fs::path path = write(scratch, layer({file("a", "a")}));
  fs::resize_file(path, std::uint64_t{1} << 40);
  CHECK(member(ArchiveFiles(path), "a") == "a");
}

TEST_CASE("a sparse member is refused when it is asked for", "[transport_archive]") {
  const ScratchDirectory scratch;
  TarBuilder tar;
  tar.pax({{"GNU.sparse.major", "0"},
           {"GNU.sparse.minor", "1"},
           {"GNU.sparse.map", "100,3"},
           {"GNU.sparse.size", "1000"}})
      .add(file("s", "abc"))
      .add(file("t", "t"))
      .end();
  const ArchiveFiles files(write(scratch, tar.bytes));
  CHECK(member(files, "t") == "t");
  CHECK(fails_with(errc::unsupported, [&] { member(files, "s"); }));
}

TEST_CASE("a new archive has the same bytes each time, and none of what failed", "[transport_archive]") {
  const ScratchDirectory scratch;
  const auto write_one = [&](const std::string& name, bool with_failure) {
    detail::NewArchive archive(scratch.path() / name);
    archive.add("a", "first");
    if (with_failure) {
      CHECK_THROWS(archive.add("b", 2000, [](ByteSink& to) {
        to.write(bytes_of(std::string(1500, 'x')));
        throw std::runtime_error("no more");
      }));
      CHECK_THROWS(archive.add_unsized([](ByteSink& to) -> std::string {
        to.write(bytes_of(std::string(1500, 'x')));
        throw std::runtime_error("no more");
      }));
    }
    archive.add_unsized([](ByteSink& to) -> std::string {
      to.write(bytes_of(std::string(700, 'y')));
      return "c";
    });
    archive.add("d", "last");
    CHECK_FALSE(fs::exists(scratch.path() / name));
    archive.finish();
  };
  write_one("one", false);
  write_one("two", true);
  CHECK((text_of(scratch.path() / "one") == text_of(scratch.path() / "two")));
  const ArchiveFiles files(scratch.path() / "two");
  CHECK(member(files, "a") == "first");
  CHECK(member(files, "c") == std::string(700, 'y'));
  CHECK(member(files, "d") == "last");
  CHECK(member(files, "b") == "-");
}

TEST_CASE("the same image, put in the same order, makes the same archive", "[transport_archive]") {
  const ScratchDirectory scratch;
  for (const char* name : {"1", "2"}) {
    AnySource from{ImageInMemory(oci_image())};
    AnySink oci{OciArchiveSink(scratch.path() / (std::string("oci") + name), "a")};
    copy_image(from, oci);
    AnySink docker{DockerArchiveSink(scratch.path() / (std::string("docker") + name), "a:1")};
    copy_image(from, docker);
  }
  CHECK((text_of(scratch.path() / "oci1") == text_of(scratch.path() / "oci2")));
  CHECK((text_of(scratch.path() / "docker1") == text_of(scratch.path() / "docker2")));
}

TEST_CASE("an archive that can't be finished leaves what was there", "[transport_archive]") {
  const ScratchDirectory scratch;
  const fs::path path = write(scratch, "what was there");
  const TestImage image = oci_image();
  {
    OciArchiveSink sink(path, "a");
    MemorySource wrong("x");
    CHECK_THROWS_AS(sink.put(image.layers[0], wrong, Control{}), Error);
  }
  CHECK(text_of(path) == "what was there");
  CHECK(std::distance(fs::directory_iterator(scratch.path()), {}) == 1);
  CHECK(fails_with(errc::bad_argument, [&] { OciArchiveSink(scratch.directory("d"), "a"); }));
  CHECK(fails_with(errc::not_found, [&] { OciArchiveSink(scratch.path() / "no" / "where", "a"); }));
}
