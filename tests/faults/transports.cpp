// Images on their way: written to layouts and archives, and read from them.
#include "operations.hpp"

#include <strata/error.hpp>
#include <strata/transport/docker_archive.hpp>
#include <strata/transport/oci_layout.hpp>

#include "support/test_image.hpp"

#include <boost/filesystem/operations.hpp>

#include <functional>
#include <string>
#include <utility>

namespace strata::test {

namespace fs = boost::filesystem;

namespace {

struct Place {
  std::string name;
  std::function<AnySource(const fs::path&)> source;
  std::function<AnySink(const fs::path&)> sink;
  TestImage image;
};

const std::vector<Place>& places() {
  static const std::vector<Place> all = {
      {"a layout", [](const fs::path& path) { return AnySource(OciLayoutSource(path, "a")); },
       [](const fs::path& path) { return AnySink(OciLayoutSink(path, "a")); }, oci_image()},
      {"an archive of a layout", [](const fs::path& path) { return AnySource(OciArchiveSource(path, "a")); },
       [](const fs::path& path) { return AnySink(OciArchiveSink(path, "a")); }, oci_image()},
      {"a docker archive", [](const fs::path& path) { return AnySource(DockerArchiveSource(path, "a")); },
       [](const fs::path& path) { return AnySink(DockerArchiveSink(path, "a")); }, docker_image()},
  };
  return all;
}

fs::path directory(const Scene& scene) { return scene.place() / "images"; }
fs::path path_of(const Scene& scene) { return directory(scene) / "image"; }

void write(const Place& place, const fs::path& path) {
  AnySource from{ImageInMemory(place.image)};
  AnySink to = place.sink(path);
  copy_image(from, to);
}

/// All that there is, as digests; throws where any of it is missing.
std::string read(const Place& place, const fs::path& path) {
  AnySource source = place.source(path);
  const Document top = source.top();
  const ImageManifest manifest = ImageManifest::parse(top);
  std::string text = top.digest.to_string() + " " + source.document(manifest.config).digest.to_string();
  for (const Descriptor& layer : manifest.layers) {
    MemorySink bytes;
    const auto blob = source.open(layer);
    copy(*blob, bytes);
    text += " " + Document::checked(bytes.take(), layer, "the image").digest.to_string();
  }
  return text;
}

/// What an error may not leave: halves of files, and an image that isn't whole.
std::string scraps(const Place& place, const Scene& scene) {
  for (const auto& entry : fs::recursive_directory_iterator(directory(scene)))
    if (entry.path().filename().native().starts_with(".")) return "there is " + entry.path().native();
  try {
    read(place, path_of(scene));
  } catch (const Error& error) {
    if (error.code() != errc::not_found && !fs::is_directory(path_of(scene))) return error.what();
  }
  return {};
}

Operation writing(const Place& place) {
  Operation operation;
  operation.name = "write " + place.name;
  operation.prepare = [](Scene& scene) { fs::create_directories(directory(scene)); };
  operation.run = [&place](Scene& scene) {
    write(place, path_of(scene));
    return read(place, path_of(scene));
  };
  operation.unchanged = [&place](Scene& scene) { return scraps(place, scene); };
  operation.undo = [](Scene& scene) { fs::remove_all(directory(scene)); };
  return operation;
}

Operation reading(const Place& place) {
  Operation operation;
  operation.name = "read " + place.name;
  operation.prepare = [&place](Scene& scene) {
    fs::create_directories(directory(scene));
    write(place, path_of(scene));
  };
  operation.run = [&place](Scene& scene) { return read(place, path_of(scene)); };
  operation.undo = [](Scene& scene) { fs::remove_all(directory(scene)); };
  return operation;
}

}  // namespace

std::vector<Operation> transport_operations() {
  std::vector<Operation> operations;
  for (const Place& place : places()) {
    operations.push_back(writing(place));
    operations.push_back(reading(place));
  }
  return operations;
}

}  // namespace strata::test
