#include <strata/error.hpp>
#include <strata/transport/names.hpp>

#include "support/catch.hpp"

#include <string>

using namespace strata;
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
