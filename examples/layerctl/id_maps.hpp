// --uidmap and --gidmap CONTAINER:HOST:SIZE: whose files are whose.
#pragma once

#include <strata/id_map.hpp>

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace layerctl {

/// What the command line said.
struct IdMaps {
  std::vector<std::string> uids, gids;

  /// Where there are ranges of one kind only, those of the other are the same.
  strata::IdMap map() const;
};
void add_id_maps(CLI::App& command, IdMaps& maps);

}  // namespace layerctl
