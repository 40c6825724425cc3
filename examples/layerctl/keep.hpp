// What keeps a layer that import and commit store: --lease, --tag.
#pragma once

#include <strata/layer_store.hpp>

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

namespace layerctl {

struct Keep {
  std::string lease, tag;

  /// The lease, opened; made where there is none, to survive without an end.
  std::optional<strata::Lease> open_lease(strata::LayerStoreBase& store) const;
};
void add_keep(CLI::App& command, Keep& keep);

}  // namespace layerctl
