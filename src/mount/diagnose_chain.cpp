#include <strata/diagnose.hpp>
#include <strata/error.hpp>
#include <strata/layer_store.hpp>
#include <strata/mount/kernel_overlay.hpp>

#include "mount/diagnose_parts.hpp"
#include "mount/host.hpp"
#include "mount/overlay_methods.hpp"
#include "store/core.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <exception>

namespace strata {
namespace {

using detail::Topic;

constexpr std::size_t enough = 3;

/// The damages of one layer, shortened.
std::string told(const std::vector<Damage>& damages) {
  std::string text;
  for (std::size_t i = 0; i < std::min(enough, damages.size()); ++i)
    text +=
        (i ? "; " : "") + (damages[i].path.empty() ? "the layer" : quoted(damages[i].path)) + ": " + damages[i].what;
  return text + (damages.size() > enough ? "; and " + std::to_string(damages.size() - enough) + " more" : "");
}

/// Whether each tree is there as it was stored.
bool diagnose_trees(Topic& topic, const LayerStoreBase& store, const std::vector<Layer>& chain) {
  bool whole = true;
  for (const Layer& layer : chain) {
    const auto bad = [&](const std::string& what) {
      whole = false;
      topic.bad("tree of " + layer.id.to_string(), what,
                "repair it (layerctl repair), or import the layer again (import)");
    };
    try {
      const VerifyResult result = store.verify(layer.id, {.level = VerifyLevel::quick});
      if (!result.ok()) bad(told(result.damages));
    } catch (const std::exception& error) {
      bad(error.what());
    }
  }
  if (whole) topic.good("trees", "as stored");
  return whole;
}

/// What it would take where the kernel has no "lowerdir+".
void diagnose_names(Topic& topic, const MountPlan& plan) {
  std::size_t longest = 0;
  for (const auto& lower : plan.lowers) longest = std::max(longest, lower.size());
  topic.good("longest name", std::to_string(longest) + " bytes");
  const std::size_t bytes = detail::classic_bytes(plan);
  const std::string shown = std::to_string(bytes) + " of " + std::to_string(detail::longest_classic) + " bytes";
  if (bytes <= detail::longest_classic) {
    topic.good("by mount(2)", shown);
    return;
  }
  rlimit limit{};
  const bool few = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < plan.lowers.size() + 16;
  few ? topic.limited("by mount(2)", shown + ", and " + std::to_string(limit.rlim_cur) + " descriptors",
                      "kernels before 6.7 need a descriptor for each layer: raise the limit (ulimit -n)")
      : topic.good("by mount(2)", shown + ": by descriptor");
}

/// Mounts the chain where nobody sees it, and drops it.
void try_mount(Topic& topic, MountPlan plan, bool whole) {
  const KernelOverlay backend;
  if (const MountProbe probe = backend.probe(); !probe.usable) {
    topic.limited("mounting it", "not tried", probe.why);
    return;
  }
  try {
    plan.target.clear();
    const FileDescriptor dropped = backend.mount_detached(plan);
    whole ? topic.good("mounting it", "works")
          : topic.limited("mounting it", "works", "but what is damaged would be seen as it is");
  } catch (const Error& error) {
    if (error.code() == errc::unsupported && detail::kernel_version() < detail::KernelVersion{6, 7})
      topic.limited("mounting it", "not tried", "this kernel has no mounts that nobody sees");
    else
      topic.bad("mounting it", "fails", error.what());
  }
}

}  // namespace

std::vector<Finding> diagnose_chain(const LayerStoreBase& store, const Digest& id) {
  std::vector<Finding> findings;
  Topic topic(findings, "chain");
  std::vector<Layer> chain;
  MountPlan plan;
  try {
    chain = store.chain(id);
    plan.lowers = store.lowers(chain.back());
  } catch (const std::exception& error) {
    topic.bad("record", error.what(), "import the layer, and those below it, again");
    return findings;
  }
  topic.good("topmost layer", id.to_string());

  const std::string count = std::to_string(plan.lowers.size()) + " of " + std::to_string(KernelOverlay::max_layers);
  plan.lowers.size() <= KernelOverlay::max_layers
      ? topic.good("layers", count)
      : topic.bad("layers", count, "overlay takes no more: merge some (layerctl unpack, and import that)");
  plan.form = store.form();
  const std::string form(to_string(plan.form));
  KernelOverlay().reads(plan.form) ? topic.good("form", form)
                                   : topic.bad("form", form,
                                               plan.form == UnionForm::overlay_user
                                                   ? "it needs Linux 5.11"
                                                   : "deletions in it can't be seen from a user namespace: mount as "
                                                     "root, or use a store that was made in one");
  const bool whole = diagnose_trees(topic, store, chain);
  // A lower more, as a container has one: an empty directory of the store, so that one layer is enough.
  if (plan.lowers.size() < KernelOverlay::max_layers)
    plan.lowers.insert(plan.lowers.begin(), store.core()->mounts_directory());
  diagnose_names(topic, plan);
  try_mount(topic, std::move(plan), whole);
  return findings;
}

}  // namespace strata
