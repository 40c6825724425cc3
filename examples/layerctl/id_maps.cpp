#include "id_maps.hpp"

#include <strata/error.hpp>

namespace layerctl {

namespace {

strata::IdRanges ranges(const std::vector<std::string>& given) {
  std::string all;
  for (const std::string& text : given) all += (all.empty() ? "" : ",") + text;
  return strata::IdRanges::parse(all);
}

void add(CLI::App& command, const char* name, std::vector<std::string>& given, const char* what) {
  command.add_option(name, given, what)
      ->type_name("CONTAINER:HOST:SIZE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

}  // namespace

strata::IdMap IdMaps::map() const {
  if (uids.empty() && gids.empty()) return {};
  return {ranges(uids.empty() ? gids : uids), ranges(gids.empty() ? uids : gids)};
}

void add_id_maps(CLI::App& command, IdMaps& maps) {
  add(command, "--uidmap", maps.uids,
      "SIZE users of the layer, from CONTAINER on, are those of the host from HOST on; repeatable");
  add(command, "--gidmap", maps.gids, "The same of groups; where only one of the two is given, the other is as it");
  command.parse_complete_callback([&maps] {
    try {
      (void)maps.map();
    } catch (const strata::Error& error) {
      throw CLI::ValidationError("--uidmap, --gidmap", error.what());
    }
  });
}

}  // namespace layerctl
