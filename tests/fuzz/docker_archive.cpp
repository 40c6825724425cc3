// What docker archives say of their images: `manifest.json`, `repositories` and the `json` of a layer are each refused
// or read, and what is read can be chosen from, and made a config of.
#include "fuzz/fuzz.hpp"

#include <strata/hash.hpp>

#include "transport/archive_files.hpp"
#include "transport/docker_manifest.hpp"

#include <string>

using namespace strata;
using namespace strata::test;

namespace {

void check_images(const std::vector<detail::DockerImage>& images) {
  for (std::size_t i = 0; i < images.size(); ++i) {
    const auto& image = images[i];
    require(!image.config.empty() || !image.id.empty());
    require(&detail::choose_docker_image(images, "@" + std::to_string(i), "it") == &image);
    for (const std::string& layer : image.layers)
      if (const auto path = detail::path_in_archive(layer))
        require(detail::path_in_archive(*path) == path && !path->starts_with('/') && !path->starts_with("../"), *path);
  }
  for (const char* name : {"", "a:1", "@0", "@99999999999999999999999"})
    refusal_of({errc::not_found, errc::bad_argument}, [&] { detail::choose_docker_image(images, name, "it"); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto refused = {errc::bad_archive, errc::limit_exceeded, errc::unsupported};
  refusal_of(refused, [&] {
    const auto images = detail::parse_docker_manifest(text, "it");
    check_images(images);
    if (images.empty() || images.front().config.empty()) return;
    const auto again = detail::parse_docker_manifest(detail::write_docker_manifest(images.front()), "it");
    require(again.size() == 1 && again[0].names == images[0].names && again[0].config == images[0].config &&
            again[0].layers == images[0].layers);
  });
  refusal_of(refused, [&] { check_images(detail::parse_docker_repositories(text, "it")); });
  refusal_of(refused, [&] {
    const auto layer = detail::parse_docker_layer(text, "it");
    const Digest diff_id = digest_of<Sha256>(text);
    const Document config = detail::make_docker_config(text, {diff_id}, {layer.history}, "it");
    const ImageConfig read = ImageConfig::parse(config);
    require(read.diff_ids.size() == 1 && read.diff_ids[0] == diff_id && read.history.size() == 1 &&
            read.history[0] == layer.history);
  });
  return 0;
}
