#include "manager/build_container.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"

#include <algorithm>

namespace strata::detail {

namespace {

constexpr std::string_view prefix = "strata-build-";

}  // namespace

BuildContainer::BuildContainer(LayerStoreBase& store, const MounterPolicy& mounter, const Digest& layer,
                               const MountOptions& options)
    : mounter_(mounter), lease_(store.lease({.name = std::string(prefix) + random_name()})) {
  root_.emplace(mounter_.mount(layer, lease_.name(), options));
}

BuildContainer::~BuildContainer() {
  root_.reset();
  try {
    mounter_.remove(lease_.name());
  } catch (const std::exception&) {  // the next build does it
  }
}

void BuildContainer::sweep(LayerStoreBase& store, const MounterPolicy& mounter) {
  // Containers first: one that comes afterwards has its lease already.
  const auto containers = store.containers();
  const auto leases = store.leases();
  for (const Container& container : containers) {
    if (!container.name.starts_with(prefix)) continue;
    const auto lease = std::ranges::find(leases, container.name, &LeaseState::name);
    if (lease != leases.end() && lease->live) continue;
    try {
      mounter.unmount(container.name);
      mounter.remove(container.name);
    } catch (const Error&) {  // mounted in a namespace of others, or removed by them just now
    }
  }
}

}  // namespace strata::detail
