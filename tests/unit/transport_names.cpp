#include <strata/error.hpp>
#include <strata/layer_store.hpp>
#include <strata/transport/names.hpp>

#include "conformance/layer_source_suite.hpp"
#include "support/scratch.hpp"

#include <string>

using namespace strata;
using namespace strata::test;
using Catch::Contains;
using Transport = ImageName::Transport;

namespace {

void reads(const std::string& text, Transport transport, const std::string& path, const std::string& image) {
  INFO(text);
  const ImageName name = ImageName::parse(text);
  CHECK(name.transport == transport);
  CHECK(name.path == path);
  CHECK(name.image == image);
  const std::string written = name.to_string();
  CHECK(ImageName::parse(written).to_string() == written);
  CHECK((written == text || written == "docker://" + text));
}

std::string refusal(const std::string& text) {
  try {
    ImageName::parse(text);
  } catch (const Error& error) {
    CHECK(error.code() == errc::bad_argument);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("names of images are read as skopeo reads them", "[transport_names]") {
  reads("docker://debian:12", Transport::docker, "", "debian:12");
  reads("debian", Transport::docker, "", "debian");
  reads("localhost:5000/a/b@sha256:" + std::string(64, 'a'), Transport::docker, "",
        "localhost:5000/a/b@sha256:" + std::string(64, 'a'));
  reads("oci:images", Transport::oci, "images", "");
  reads("oci:/a/b c:docker.io/library/debian:12", Transport::oci, "/a/b c", "docker.io/library/debian:12");
  reads("oci:a:sha256:" + std::string(64, 'a'), Transport::oci, "a", "sha256:" + std::string(64, 'a'));
  reads("oci-archive:a.tar:12", Transport::oci_archive, "a.tar", "12");
  reads("docker-archive:a.tar:debian:12", Transport::docker_archive, "a.tar", "debian:12");
  reads("docker-archive:a.tar:@3", Transport::docker_archive, "a.tar", "@3");
  reads("strata:/var/lib/strata:debian:12", Transport::strata, "/var/lib/strata", "debian:12");
  // No transport, but names that begin as some do.
  reads("oci", Transport::docker, "", "oci");
  reads("strata/app", Transport::docker, "", "strata/app");
}

TEST_CASE("names that mean no image are refused, with the transports that there are", "[transport_names]") {
  for (const char* wrong : {"", "docker://", "docker://Debian", "dir:/a", "containers-storage:[a]b", "oci:", "oci::a",
                            "oci:a:", "oci-archive:", "docker-archive::a", "strata:", "strata:/a", "strata:/a:", "a b",
                            "docker:debian:12:13", "https://a/b"}) {
    INFO(wrong);
    CHECK_THAT(refusal(wrong), Contains("docker://REFERENCE, oci:DIR[:TAG]") && Contains("strata:ROOT:NAME"));
  }
}

TEST_CASE("a name opens the source and the sink of its transport", "[transport_names]") {
  const ScratchDirectory scratch;
  const TestImage image = docker_image();
  for (const char* transport : {"oci:", "oci-archive:", "docker-archive:"}) {
    const ImageName name = ImageName::parse(transport + (scratch.path() / "image").native() + ":a");
    AnySource from{ImageInMemory(image)};
    {
      AnySink to = open_sink(name);
      CHECK_THAT(to.name(), Contains(transport));
      copy_image(from, to);
    }
    AnySource back = open_source(name);
    CHECK_THAT(back.name(), Contains(transport));
    CHECK(back.is_local());
    check_same_image(back, image);
    boost::filesystem::remove_all(scratch.path() / "image");
  }
  CHECK_THAT(open_source(ImageName::parse("registry.example/a")).name(), Contains("registry.example/a"));
}

TEST_CASE("a store that isn't there isn't made by reading from it, and none is written to", "[transport_names]") {
  const ScratchDirectory scratch;
  const ImageName name = ImageName::parse("strata:" + (scratch.path() / "store").native() + ":a");
  CHECK(fails_with(errc::wrong_store, [&] { open_source(name); }));
  CHECK(fails_with(errc::unsupported, [&] { open_sink(name); }));
  CHECK_FALSE(boost::filesystem::exists(scratch.path() / "store"));
  const LayerStore<> store(scratch.path() / "store", {.durability = Durability::none});
  CHECK(fails_with(errc::not_found, [&] { open_source(name); }));
}
