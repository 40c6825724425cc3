#include "mount/flatten.hpp"

#include <strata/error.hpp>

#include "mount/whole.hpp"
#include "store/lock.hpp"
#include "tree/directory.hpp"
#include "tree/lay_upon.hpp"

#include <boost/filesystem/operations.hpp>

#include <chrono>
#include <thread>

namespace strata::detail {
namespace {

boost::filesystem::path place_of(const MountPlan& plan, std::size_t layer) {
  return plan.kept / std::string(plan.chain[layer].algorithm()) / plan.chain[layer].hex();
}

bool is_kept(const MountPlan& plan, std::size_t layer) {
  return try_stat(AT_FDCWD, place_of(plan, layer).native()).has_value();
}

/// In steps, so that it can be stopped.
Lock wait_for_others(int kept, const MountPlan& plan) {
  for (;;) {
    if (auto lock = Lock::attempt(kept, flatten_lock, Lock::Kind::exclusive)) return *std::move(lock);
    if (plan.control.stop.stop_requested()) throw_error(errc::cancelled, "wait for", quoted(plan.kept.native()));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

boost::filesystem::path flattened(const MountPlan& plan, const Snapshots& snapshots, const ObjectSetter& setter) {
  if (is_kept(plan, 0)) return place_of(plan, 0);
  const boost::filesystem::path room = place_of(plan, 0).parent_path();
  boost::system::error_code failed;
  boost::filesystem::create_directories(room, failed);
  if (failed) throw_errno(failed.value(), "create the directory", quoted(room.native()));
  const FileDescriptor kept = open_directory(plan.kept);
  const Lock alone = wait_for_others(kept.get(), plan);
  const FileDescriptor names = open_directory(room);
  std::size_t layer = 0;
  while (layer < plan.chain.size() && !is_kept(plan, layer)) ++layer;
  while (layer-- > 0) {
    snapshots.discard(kept.get(), half_made);
    const bool lowest = layer + 1 == plan.chain.size();
    snapshots.make(
        {lowest ? boost::filesystem::path() : place_of(plan, layer + 1), kept.get(), half_made, place_of(plan, layer)},
        [&](int directory) {
          lay_upon(plan.lowers[plan.lowers.size() - plan.chain.size() + layer], plan.form, directory, setter,
                   plan.control);
          if (plan.durable && sys::syncfs(directory) != 0) throw_errno(errno, "sync", quoted(plan.kept.native()));
        });
    put_made(kept.get(), half_made, names.get(), plan.chain[layer].hex(), place_of(plan, layer).native());
  }
  return place_of(plan, 0);
}

}  // namespace strata::detail
