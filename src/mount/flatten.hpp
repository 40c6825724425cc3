// Chains that are flattened once and kept, each upon the longest part of it that was kept before.
#pragma once

#include <strata/mount_plan.hpp>

#include "tree/attributes.hpp"

#include <boost/filesystem/path.hpp>

#include <functional>
#include <string>

namespace strata::detail {

/// What stands in plan.kept while a layer is made, by whoever holds the lock there.
inline constexpr const char* half_made = "making";
inline constexpr const char* flatten_lock = "lock";

/// How a backend makes what it keeps of a layer: a directory, or a file that says where that is.
struct Snapshots {
  struct Wanted {
    boost::filesystem::path below;  ///< what it begins as: that of the layer below; empty: of nothing
    int parent;                     ///< an open directory, in which it is made
    std::string name;               ///< there
    boost::filesystem::path place;  ///< where it will be once it is complete
  };
  /// Gives `fill` the open directory that the layer's tree goes upon.
  std::function<void(const Wanted&, const std::function<void(int directory)>& fill)> make;
  /// Removes what may have been left half made.
  std::function<void(int parent, const std::string& name)> discard;
};

/// What plan.kept has of what plan.chain.front() names; what is missing of the chain is made, layer by
/// layer. Waits for another thread or process that does so in the same place.
boost::filesystem::path flattened(const MountPlan& plan, const Snapshots& snapshots, const ObjectSetter& setter);

}  // namespace strata::detail
