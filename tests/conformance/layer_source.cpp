#include "conformance/layer_source_suite.hpp"

#include <strata/transport/docker_archive.hpp>
#include <strata/transport/oci_layout.hpp>

#include "support/scratch.hpp"

using namespace strata;
using namespace strata::test;

namespace {

/// Written by copy_image, whose sinks have a suite of their own.
template <class Sink>
boost::filesystem::path written(const ScratchDirectory& scratch, const TestImage& image, const std::string& name) {
  const auto path = scratch.path() / "image";
  AnySource from{ImageInMemory(image)};
  AnySink to{Sink(path, name)};
  copy_image(from, to);
  return path;
}

}  // namespace

TEST_CASE("an image in memory is a source", "[layer_source]") {
  const TestImage image = oci_index_image();
  layer_source_suite<ImageInMemory>([&] { return ImageInMemory(image); }, image);
}

TEST_CASE("AnySource is a source", "[layer_source]") {
  const TestImage image = docker_image();
  layer_source_suite<AnySource>([&] { return AnySource(ImageInMemory(image)); }, image);
}

TEST_CASE("OciLayoutSource is a source", "[layer_source]") {
  const ScratchDirectory scratch;
  const TestImage image = oci_index_image();
  const auto path = written<OciLayoutSink>(scratch, image, "a");
  layer_source_suite<OciLayoutSource>([&] { return OciLayoutSource(path, "a"); }, image);
}

TEST_CASE("OciArchiveSource is a source", "[layer_source]") {
  const ScratchDirectory scratch;
  const TestImage image = oci_index_image();
  const auto path = written<OciArchiveSink>(scratch, image, "a");
  layer_source_suite<OciArchiveSource>([&] { return OciArchiveSource(path, ""); }, image);
}

TEST_CASE("DockerArchiveSource is a source", "[layer_source]") {
  const ScratchDirectory scratch;
  const TestImage image = docker_image();
  const auto path = written<DockerArchiveSink>(scratch, image, "a:1");
  layer_source_suite<DockerArchiveSource>([&] { return DockerArchiveSource(path, "a:1"); }, image);
}
