#include <strata/transport/oci_layout.hpp>

#include "conformance/layer_source_suite.hpp"
#include "support/scratch.hpp"
#include "transport/layout_index.hpp"

#include <boost/filesystem/fstream.hpp>
#include <boost/filesystem/operations.hpp>

#include <sys/file.h>

#include <atomic>
#include <chrono>

using namespace strata;
using namespace strata::test;
using Catch::Contains;
namespace fs = boost::filesystem;

namespace {

fs::path layout_of(const ScratchDirectory& scratch, const TestImage& image, const std::string& tag) {
  AnySource from{ImageInMemory(image)};
  AnySink to{OciLayoutSink(scratch.path() / "layout", tag)};
  copy_image(from, to);
  return scratch.path() / "layout";
}

void write(const fs::path& path, const std::string& text) { fs::ofstream(path) << text; }
std::string text_of(const fs::path& path) {
  fs::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

fs::path blob_of(const fs::path& layout, const Digest& digest) { return layout / detail::blob_path(digest); }

/// What is said when the layout is opened; empty: nothing is wrong.
std::string refusal(const fs::path& layout, const std::string& tag, errc code) {
  try {
    OciLayoutSource(layout, tag).top({});
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("images of a layout are named by tag, by digest, or by nothing where there is one", "[transport_layout]") {
  const ScratchDirectory scratch;
  const TestImage one = oci_image(1), two = oci_image(2);
  const fs::path layout = layout_of(scratch, one, "one");
  CHECK(OciLayoutSource(layout, "").top({}) == one.top);
  layout_of(scratch, two, "two");
  CHECK(OciLayoutSource(layout, "one").top({}) == one.top);
  CHECK(OciLayoutSource(layout, two.top.digest.to_string()).top({}) == two.top);
  CHECK_THAT(refusal(layout, "", errc::bad_argument), Contains("'one' 'two'"));
  CHECK_THAT(refusal(layout, "three", errc::not_found), Contains("'three'") && Contains("'one' 'two'"));
}

TEST_CASE("an image is called by the tag that it has in the layout, behind the layout's own name",
          "[transport_layout]") {
  const ScratchDirectory scratch;
  const auto called = [&](const std::string& tag, const fs::path& name, const fs::path& opened) {
    fs::remove_all(scratch.path() / "layout");
    fs::remove_all(scratch.path() / name);
    fs::rename(layout_of(scratch, oci_image(1), tag), scratch.path() / name);
    return OciLayoutSource(opened, tag).image_name();
  };
  const fs::path place = scratch.path();
  CHECK(called("latest", "images", place / "images") == "localhost/images:latest");
  CHECK(called("latest", "web-1.2", place / "web-1.2/") == "localhost/web-1.2:latest");
  CHECK(called("latest", "images", place / "images/blobs/..") == "localhost/images:latest");
  CHECK(called("debian:12", "images", place / "images") == "debian:12");
  CHECK(called("latest", "no name", place / "no name").empty());
  fs::create_directory_symlink("images", place / "link");
  CHECK(called("latest", "images", place / "link") == "localhost/link:latest");
}

TEST_CASE("a tag that is moved leaves its image in the layout, without it", "[transport_layout]") {
  const ScratchDirectory scratch;
  const TestImage one = oci_image(1), two = oci_image(2);
  layout_of(scratch, one, "a");
  layout_of(scratch, one, "b");
  const fs::path layout = layout_of(scratch, two, "a");
  CHECK(OciLayoutSource(layout, "a").top({}) == two.top);
  CHECK(OciLayoutSource(layout, "b").top({}) == one.top);
  layout_of(scratch, two, "b");
  CHECK(OciLayoutSource(layout, "b").top({}) == two.top);
  CHECK(OciLayoutSource(layout, one.top.digest.to_string()).top({}) == one.top);
  // The same once more changes nothing.
  const std::string index = text_of(layout / "index.json");
  layout_of(scratch, two, "b");
  CHECK(text_of(layout / "index.json") == index);
}

TEST_CASE("what strata doesn't know of an index survives", "[transport_layout]") {
  const ScratchDirectory scratch;
  const TestImage one = oci_image(1), two = oci_image(2);
  const fs::path layout = layout_of(scratch, one, "a");
  std::string index = text_of(layout / "index.json");
  index.replace(index.find("\"annotations\":{"), 15, R"("x-known":[1],"annotations":{"k":"v",)");
  index.insert(1, R"("x-unknown":{"b":1},)");
  write(layout / "index.json", index);
  layout_of(scratch, two, "a");
  index = text_of(layout / "index.json");
  CHECK_THAT(index, Contains(R"("x-unknown":{"b":1})") && Contains(R"("x-known":[1],"annotations":{"k":"v"})"));
}

TEST_CASE("an index whose images are platforms is one image", "[transport_layout]") {
  const ScratchDirectory scratch;
  const TestImage whole = oci_index_image();
  const fs::path layout = layout_of(scratch, whole, "");
  // As buildkit writes it: what was an index of the layout is the layout's own.
  write(layout / "index.json", whole.top.bytes);
  CHECK(OciLayoutSource(layout, "").top({}) == whole.top);
  AnySource from{OciLayoutSource(layout, "")};
  AnySink to{OciArchiveSink(scratch.path() / "archive", "a")};
  copy_image(from, to, {.platform = Platform::parse("linux/arm64")});
  OciArchiveSource archive(scratch.path() / "archive", "");
  CHECK(archive.top({}).descriptor().digest == ImageIndex::parse(whole.top).manifests[1].digest);
}

TEST_CASE("what is no layout is refused, and says why", "[transport_layout]") {
  const ScratchDirectory scratch;
  CHECK_FALSE(refusal(scratch.path() / "absent", "", errc::not_found).empty());
  CHECK_THAT(refusal(scratch.directory("empty"), "", errc::bad_archive), Contains("'oci-layout'"));
  const fs::path layout = layout_of(scratch, oci_image(), "a");
  for (const char* wrong : {"", "{}", "[]", "{\"imageLayoutVersion\":1}", "no JSON"}) {
    write(layout / "oci-layout", wrong);
    CHECK_FALSE(refusal(layout, "a", errc::bad_archive).empty());
  }
  write(layout / "oci-layout", R"({"imageLayoutVersion":"2.0.0"})");
  CHECK_THAT(refusal(layout, "a", errc::unsupported), Contains("'2.0.0'"));
  write(layout / "oci-layout", std::string(detail::layout_version_file));
  write(layout / "index.json", std::string(5U << 20, ' '));
  CHECK_FALSE(refusal(layout, "a", errc::limit_exceeded).empty());
  write(layout / "index.json", R"({"schemaVersion":2,"manifests":7})");
  CHECK_FALSE(refusal(layout, "a", errc::bad_archive).empty());
  write(layout / "index.json", R"({"schemaVersion":2,"manifests":[]})");
  CHECK_THAT(refusal(layout, "", errc::not_found), Contains("no images"));
}

TEST_CASE("a blob that isn't what its name says is no document", "[transport_layout]") {
  const ScratchDirectory scratch;
  const TestImage image = oci_image();
  const fs::path layout = layout_of(scratch, image, "a");
  std::string changed = image.top.bytes;
  changed[changed.size() - 2] = ' ';
  write(blob_of(layout, image.top.digest), changed);
  CHECK_FALSE(refusal(layout, "a", errc::digest_mismatch).empty());
  fs::remove(blob_of(layout, image.top.digest));
  CHECK_FALSE(refusal(layout, "a", errc::not_found).empty());
}

TEST_CASE("links, fifos and directories in place of a layout's files aren't followed", "[transport_layout]") {
  const ScratchDirectory scratch;
  const TestImage image = oci_image();
  const fs::path layout = layout_of(scratch, image, "a");
  const fs::path blob = blob_of(layout, image.top.digest);
  fs::rename(blob, scratch.path() / "outside");
  fs::create_symlink(scratch.path() / "outside", blob);
  CHECK_FALSE(refusal(layout, "a", errc::not_found).empty());
  fs::remove(blob);
  REQUIRE(::mkfifo(blob.c_str(), 0644) == 0);
  CHECK_FALSE(refusal(layout, "a", errc::not_found).empty());
  fs::remove(blob);
  fs::create_directory(blob);
  CHECK_FALSE(refusal(layout, "a", errc::not_found).empty());
  fs::remove(blob);
  fs::rename(layout / "blobs", scratch.path() / "blobs");
  fs::create_symlink(scratch.path() / "blobs", layout / "blobs");
  CHECK_FALSE(refusal(layout, "a", errc::not_found).empty());
  // Nor is anything written through them.
  OciLayoutSink sink(layout, "b");
  MemorySource source(image.blobs.at(image.layers[0].digest));
  CHECK_THROWS_AS(sink.put(image.layers[0], source, Control{}), Error);
}

TEST_CASE("a directory that has other things isn't made a layout", "[transport_layout]") {
  const ScratchDirectory scratch;
  write(scratch.path() / "letter", "dear");
  CHECK(fails_with(errc::refused, [&] { OciLayoutSink(scratch.path(), "a"); }));
  CHECK_FALSE(fs::exists(scratch.path() / "oci-layout"));
  // What a crash of the library left there is none of them.
  const fs::path left = scratch.directory("left");
  write(left / ".strata-0123", "half");
  OciLayoutSink(left, "a");
  CHECK(fs::exists(left / "index.json"));
}

TEST_CASE("names that a layout can't have are refused", "[transport_layout]") {
  const ScratchDirectory scratch;
  for (const char* wrong : {"-a", "a-", "a b", "a//b", "a\nb", "\xff", "a..b", "a---b"})
    CHECK(fails_with(errc::bad_argument, [&] { OciLayoutSink(scratch.path() / "layout", wrong); }));
  for (const char* right : {"a", "1.2-3", "docker.io/library/debian:12", "a--b", "a@sha256:0"})
    CHECK_NOTHROW(OciLayoutSink(scratch.path() / "layout", right));
}

TEST_CASE("many writers of one layout lose no image", "[transport_layout]") {
  const ScratchDirectory scratch;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 8; ++i)
    threads.emplace_back([&, i] { layout_of(scratch, oci_image(1 + i / 2), "tag" + std::to_string(i)); });
  for (std::thread& thread : threads) thread.join();
  for (unsigned i = 0; i < 8; ++i)
    CHECK(OciLayoutSource(scratch.path() / "layout", "tag" + std::to_string(i)).top({}) == oci_image(1 + i / 2).top);
}

TEST_CASE("waiting for another writer of a layout can be cancelled", "[transport_layout]") {
  const ScratchDirectory scratch;
  const TestImage image = oci_image();
  OciLayoutSink sink(scratch.path() / "layout", "a");
  FileDescriptor held(::open((scratch.path() / "layout").c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(::flock(held.get(), LOCK_EX) == 0);
  std::stop_source stop;
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    stop.request_stop();
  });
  const auto begun = std::chrono::steady_clock::now();
  CHECK(fails_with(errc::cancelled, [&] { sink.finish(image.top, stop.get_token()); }));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  canceller.join();
  held.reset();
  sink.finish(image.top, {});
  CHECK(OciLayoutSource(scratch.path() / "layout", "a").top({}) == image.top);
}
