// Chains that are flattened once and kept, each upon the longest part of it that was kept before.
#pragma once

#include <strata/mount_plan.hpp>

#include "tree/attributes.hpp"

#include <boost/filesystem/path.hpp>

#include <functional>
#include <string>

namespace strata::detail {

/// How a backend makes its directories: `name` in the open directory `parent`.
struct Snapshots {
  std::function<void(int parent, const std::string& name)> create;
  std::function<void(const boost::filesystem::path& of, int parent, const std::string& name)> copy;
};

/// The directory in plan.kept that has what plan.chain.front() names; what is missing of the chain is made, layer by
/// layer. Waits for another thread or process that does so in the same place.
boost::filesystem::path flattened(const MountPlan& plan, const Snapshots& snapshots, const ObjectSetter& setter);

}  // namespace strata::detail
