// --change 'CMD ["run"]': changes of an image's config, written as lines of a Dockerfile, as docker and podman take
// them.
#pragma once

#include <strata/image.hpp>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace layerctl {

/// Applies lines to a config, in their order: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR.
/// Throws errc::bad_argument.
void apply_changes(const std::vector<std::string>& lines, strata::ImageConfig& config);
/// The option, whose values are checked while the command line is parsed.
void add_changes(CLI::App& command, std::vector<std::string>& lines);

}  // namespace layerctl
