#include "conformance/layer_source_suite.hpp"

#include <strata/image_store.hpp>
#include <strata/layer_store.hpp>
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

class StoredImage {
 public:
  StoredImage(const ScratchDirectory& scratch, const TestImage& image, bool keep_blobs)
      : store_(scratch.path() / "store", {.durability = Durability::none}) {
    ImportOptions options{.keep_blob = keep_blobs};
    for (const Descriptor& layer : image.layers) {
      MemorySource blob(image.blobs.at(layer.digest));
      options.parent = store_.import(blob, options).id;
    }
    image_ = ImageStore(store_).add({.manifest = image.top, .config = image.documents[0], .name = "a"});
  }
  StoreSource source() const { return {store_, image_}; }

 private:
  LayerStore<> store_;
  Image image_;
};

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

TEST_CASE("StoreSource is a source of tars that are made anew", "[layer_source]") {
  const ScratchDirectory scratch;
  const TestImage image = docker_image();
  const StoredImage stored(scratch, image, false);
  layer_source_suite<StoreSource>([&] { return stored.source(); }, image);
}

TEST_CASE("StoreSource is a source of blobs that were kept", "[layer_source]") {
  const ScratchDirectory scratch;
  const TestImage image = oci_image();
  const StoredImage stored(scratch, image, true);
  layer_source_suite<StoreSource>([&] { return stored.source(); }, image);
}
