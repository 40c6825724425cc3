#include <strata/inspect.hpp>
#include <strata/layer_store.hpp>

#include "mount/container_mounts.hpp"
#include "mount/host.hpp"
#include "mount/mount_table.hpp"
#include "mount/sys_mount.hpp"
#include "store/core.hpp"
#include "store/usage.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <map>
#include <set>
#include <tuple>

namespace strata {
namespace {

MountedOverlay overlay_of(MountedEntry entry) {
  MountedOverlay overlay;
  auto layers = detail::overlay_layers(entry.options);
  overlay.lowers = std::move(layers.lowers);
  overlay.data_only = std::move(layers.data_only);
  overlay.upper = std::move(layers.upper);
  overlay.work = std::move(layers.work);
  overlay.entry = std::move(entry);
  return overlay;
}

/// Collects the overlays of mount tables; one that is in several is there once.
class Collection {
 public:
  void add(std::vector<MountedEntry> table, std::optional<std::uint64_t> process) {
    std::map<Key, std::size_t> now;
    for (MountedEntry& entry : table) {
      if (entry.type != "overlay") continue;
      const Key key{entry.target.native(), entry.source, entry.options};
      const auto known = seen_.find(key);
      if (process && known != seen_.end()) {
        auto& elsewhere = overlays[known->second].elsewhere;
        if (elsewhere.empty() || elsewhere.back() != *process) elsewhere.push_back(*process);
        continue;
      }
      now.emplace(key, overlays.size());
      overlays.push_back(overlay_of(std::move(entry)));
      overlays.back().here = !process;
      if (process) overlays.back().elsewhere.push_back(*process);
    }
    seen_.merge(now);
  }
  std::vector<MountedOverlay> overlays;

 private:
  using Key = std::tuple<std::string, std::string, std::string>;
  std::map<Key, std::size_t> seen_;
};

/// Adds the tables of other mount namespaces; returns what couldn't be read.
std::vector<std::string> add_others(Collection& collection) {
  std::map<int, std::size_t> failures;
  const FileDescriptor proc = detail::open_directory("/proc");
  struct stat own {};
  if (sys::fstatat(proc.get(), "thread-self/ns/mnt", own, 0) != 0)
    return {"other mount namespaces: " + boost::system::system_category().message(errno)};
  std::set<ino_t> seen{own.st_ino};
  for (const detail::DirectoryEntry& process : detail::list_directory(proc.get())) {
    if (process.name.find_first_not_of("0123456789") != std::string::npos) continue;
    struct stat space {};
    std::optional<std::string> table;
    if (sys::fstatat(proc.get(), (process.name + "/ns/mnt").c_str(), space, 0) == 0) {
      if (seen.contains(space.st_ino)) continue;
      table = detail::read_text(("/proc/" + process.name + "/mountinfo").c_str());
      if (table) seen.insert(space.st_ino);
    }
    if (table)
      collection.add(detail::parse_mount_table(*table), std::strtoull(process.name.c_str(), nullptr, 10));
    else if (errno != ENOENT && errno != ESRCH && errno != EINVAL)  // these: it has ended
      ++failures[errno];
  }
  std::vector<std::string> unread;
  for (const auto& [number, count] : failures)
    unread.push_back("the mounts of " + std::to_string(count) + (count == 1 ? " process" : " processes") +
                     ", which may be others: " + boost::system::system_category().message(number));
  return unread;
}

ContainerUse use_of(Container container) {
  ContainerUse use;
  use.container = std::move(container);
  try {
    detail::Usage usage;
    usage.add(detail::open_directory(use.container.directory).get(),
              use.container.read_only && !use.container.whole ? "root" : "upper");
    use.inodes = usage.files();
    use.bytes = usage.exclusive_bytes() + usage.shared_bytes();
  } catch (const std::exception& error) {
    use.problem = error.what();
  }
  return use;
}

}  // namespace

Inspection inspect() {
  Collection collection;
  collection.add(mount_table(), std::nullopt);
  Inspection inspection;
  inspection.unread = add_others(collection);
  inspection.overlays = std::move(collection.overlays);
  return inspection;
}

Inspection inspect(const LayerStoreBase& store) {
  Inspection inspection = inspect();
  std::set<std::string> mounted;
  const auto table = mount_table();
  for (MountedOverlay& overlay : inspection.overlays)
    if (auto name = detail::container_of_source(*store.core(), overlay.entry.source)) {
      overlay.container = *std::move(name);
      mounted.insert(overlay.container);
    }
  for (Container& container : store.containers()) {
    inspection.containers.push_back(use_of(std::move(container)));
    ContainerUse& use = inspection.containers.back();
    use.mounted = mounted.contains(use.container.name) ||
                  !detail::ContainerMounts(*store.core(), use.container.name, use.container.whole).of(table).empty();
  }
  return inspection;
}

}  // namespace strata
