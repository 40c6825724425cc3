#include "registry/upload_source.hpp"

#include <strata/error.hpp>
#include <strata/hash.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"

#include <array>
#include <cstddef>
#include <string>

using namespace strata;
using strata::detail::UploadSource;
using strata::test::fails_with;

namespace {

Descriptor descriptor_of(const std::string& bytes) {
  return {.digest = digest_of<Sha256>(std::string_view(bytes)), .size = bytes.size()};
}

std::string rest_of(ByteSource& source, std::size_t block = 1000) {
  std::string text, buffer(block, 0);
  while (const std::size_t size = source.read(std::as_writable_bytes(std::span(buffer))))
    text += buffer.substr(0, size);
  return text;
}

}  // namespace

TEST_CASE("an upload's source gives its bytes, and again what it still has", "[registry]") {
  const std::string bytes(UploadSource::most_kept * 3 + 5, 'a');
  const Descriptor blob = descriptor_of(bytes);
  MemorySource memory(bytes);
  std::uint64_t told = 0;
  const Control control{.observer = [&](const Progress& progress) { told = progress.bytes; }};
  UploadSource source(blob, memory, control);
  CHECK(rest_of(source, 1 << 20) == bytes);
  CHECK(source.position() == bytes.size());
  CHECK(told == bytes.size());
  CHECK_FALSE(source.go_to(0));
  CHECK_FALSE(source.go_to(bytes.size() + 1));
  REQUIRE(source.go_to(bytes.size() - UploadSource::most_kept));
  CHECK(rest_of(source).size() == UploadSource::most_kept);
}

TEST_CASE("the last bytes of what isn't the blob are never given", "[registry]") {
  const std::string bytes = "some bytes of a blob";
  const Descriptor blob = descriptor_of(bytes);
  const std::string other =
      GENERATE(as<std::string>(), "", "some bytes", "some bytes of a blob.", "some bytes of a bloB");
  MemorySource memory(other);
  const Control control;
  UploadSource source(blob, memory, control);
  std::size_t given = 0;
  CHECK(fails_with(errc::digest_mismatch, [&] {
    std::array<std::byte, 7> block;
    while (const std::size_t size = source.read(block)) given += size;
  }));
  CHECK(given < bytes.size());
}

TEST_CASE("an empty blob, and one that was stopped", "[registry]") {
  const Descriptor empty = descriptor_of("");
  MemorySource none(std::string_view{});
  const Control control;
  CHECK(rest_of(*std::make_unique<UploadSource>(empty, none, control)).empty());
  std::stop_source stop;
  stop.request_stop();
  const Control stopped{.stop = stop.get_token()};
  UploadSource source(empty, none, stopped);
  CHECK(fails_with(errc::cancelled, [&] { rest_of(source); }));
}
