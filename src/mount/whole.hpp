// What the backends share that are no unions: the directory that has all, made once, and its mount.
#pragma once

#include <strata/mount_plan.hpp>

#include <functional>
#include <string>
#include <string_view>

namespace strata::detail {

/// Refuses what no such plan can have: `backend` takes no options of overlay, and there is no mount without an upper.
void check_whole(const MountPlan& plan, std::string_view backend);

/// Refuses a plan by which nothing of a chain can be kept.
void check_kept(const MountPlan& plan);

/// Renames what was made in the directory `from` to `name` in `to`, which must not be there: also a directory whose
/// mode shuts out its owner, who then has to open it for that moment.
void put_made(int from, const std::string& made, int to, const std::string& name, std::string_view shown);

/// Makes plan.upper unless it is there: `make(work, name)` makes it in the open directory plan.work first, so that it
/// is complete when it has its name. What an earlier one left half made there is removed.
void make_whole(const MountPlan& plan, const std::function<void(int work, const std::string& name)>& make);

/// Mounts plan.upper at plan.target, read-only where asked; where they are the same place there is nothing to mount.
/// Returns what was done, for MountResult::method.
std::string attach_whole(const MountPlan& plan);

}  // namespace strata::detail
