#include "store/roots.hpp"

#include <strata/error.hpp>

#include "store/draft.hpp"
#include "store/lease.hpp"
#include "store/tag.hpp"

namespace strata::detail {

std::vector<Root> users_of(const StoreCore& core) {
  std::vector<Root> roots;
  const auto add = [&](std::string what, const Digest& layer) {
    roots.push_back(Root{.what = std::move(what), .layer = layer});
  };
  for (const Container& container : core.containers()) add("container " + quoted(container.name), container.layer);
  for (const LeaseState& lease : list_leases(core))
    if (lease.live)
      for (const Digest& layer : lease.layers) add("lease " + quoted(lease.name), layer);
  for (const DraftNeeds& needs : needs_of_drafts(core))
    for (const Digest& layer : needs.layers) add("a running import, commit or repair", layer);
  return roots;
}

std::vector<Root> roots_of(const StoreCore& core) {
  std::vector<Root> roots = users_of(core);
  for (const Tag& tag : list_tags(core)) roots.push_back({.what = "tag " + quoted(tag.name), .layer = tag.layer});
  return roots;
}

}  // namespace strata::detail
