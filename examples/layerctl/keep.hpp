// What keeps a layer that import and commit store: --lease, --tag; and what gc and prune share.
#pragma once

#include "session.hpp"

#include <strata/layer_store.hpp>

#include <CLI/CLI.hpp>
#include <chrono>
#include <optional>
#include <string>

namespace layerctl {

/// "90", "90s", "15m", "1h", "7d". Throws errc::bad_argument.
std::chrono::seconds parse_duration(const std::string& text);

Json json_of(const strata::GcResult& result);
/// Tells of it on standard error.
void say(const strata::GcResult& result, bool dry_run);

struct Keep {
  std::string lease, tag;

  /// The lease, opened; made where there is none, to survive without an end.
  std::optional<strata::Lease> open_lease(strata::LayerStoreBase& store) const;
};
void add_keep(CLI::App& command, Keep& keep);

}  // namespace layerctl
