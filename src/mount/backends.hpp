// The mount backends that there are: the one list of their names.
#pragma once

#include <strata/mount_plan.hpp>
#include <strata/mounter.hpp>

#include <cstddef>
#include <span>
#include <string_view>

namespace strata::detail {

struct KnownBackend {
  std::string_view name;
  std::size_t max_layers;
  MountProbe (*probe)();
  bool (*reads)(UnionForm form);
  BackendPolicy (*policy)();
  /// Whether it can work with a store in this directory, wherever it can work at all; `unfit` says why it can't.
  bool (*fits)(int directory);
  std::string_view unfit;
};

/// All of them, the one to be preferred first.
std::span<const KnownBackend> known_backends();
/// Throws errc::bad_argument, which lists the names.
const KnownBackend& backend_named(std::string_view name);

}  // namespace strata::detail
