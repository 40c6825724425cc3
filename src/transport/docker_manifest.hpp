// What is written in a docker archive: which images it has, and what those are made of.
#pragma once

#include <strata/digest.hpp>
#include <strata/image.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

struct DockerImage {
  std::vector<std::string> names = {};   ///< as the archive has them: "debian:12", "docker.io/library/debian:12"
  std::string config = {};               ///< a member; empty: an image of before 1.10
  std::vector<std::string> layers = {};  ///< members, base first; of before 1.10 none
  std::string id = {};                   ///< of an image of before 1.10: its topmost layer
};

/// `manifest.json`. Throws errc::bad_archive.
std::vector<DockerImage> parse_docker_manifest(std::string_view text, const std::string& shown);
/// `repositories`, where there is no `manifest.json`.
std::vector<DockerImage> parse_docker_repositories(std::string_view text, const std::string& shown);
/// `manifest.json` of one image.
std::string write_docker_manifest(const DockerImage& image);

/// The image that `name` names, as DockerArchiveSource has it.
const DockerImage& choose_docker_image(const std::vector<DockerImage>& images, const std::string& name,
                                       const std::string& shown);

/// The `json` of one layer of before 1.10.
struct DockerLayer {
  std::string parent;  ///< an id; empty: it is the base
  HistoryEntry history;
};
DockerLayer parse_docker_layer(std::string_view text, const std::string& shown);
/// The config that docker makes of the `json` of the topmost layer, and of all layers, base first.
Document make_docker_config(std::string_view text, const std::vector<Digest>& diff_ids,
                            const std::vector<HistoryEntry>& history, const std::string& shown);

}  // namespace strata::detail
