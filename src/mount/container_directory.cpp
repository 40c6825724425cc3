#include "mount/container_directory.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "mount/sys_mount.hpp"
#include "store/chain_root.hpp"
#include "store/draft.hpp"
#include "tree/attributes.hpp"

#include <linux/fs.h>

namespace strata::detail {
namespace {

std::string shown(const Container& container) { return container.directory.native(); }

FileDescriptor open_below(int dir, const std::string& name) {
  return FileDescriptor(sys::openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
}

/// What the chain's root directory has, for the directory that will be the merged root's topmost.
Attributes root_attributes(const StoreCore& core, const Layer& layer) {
  RootAttributes root = chain_root(core, layer);
  if (root.any_time) root.metadata.mtime = stat_of(open_directory(core.lowers(layer).back()).get()).mtime;
  return attributes_of(root.metadata, std::move(root.xattrs));
}

void make_root(const StoreCore& core, int dir, const std::string& name, const Attributes& attributes) {
  make_directory(dir, name);
  const FileDescriptor root = open_below(dir, name);
  if (!root) throw_errno(errno, "open", quoted(name));
  // What this user can't give was reported when the layer was imported.
  Report report;
  bool altered = false;
  const ObjectSetter setter{Owners::squash, report, Conformance::compat, &altered};
  setter.replace_directory(root.get(), attributes, name);
  ObjectSetter::set_times(dir, name, attributes.mtime, name);
  core.sync(root.get(), name);
}

}  // namespace

std::optional<LockedContainer> LockedContainer::open(const StoreCore& core, const std::string& name) {
  const std::string path = "containers/" + name;
  for (;;) {
    FileDescriptor fd = open_below(core.root_descriptor(), path);
    if (!fd && errno == ENOENT) return std::nullopt;
    if (!fd) throw_errno(errno, "open", "container " + quoted((core.root() / path).native()));
    std::optional<Lock> lock;
    try {
      lock = Lock::wait(fd.get(), "lock", Lock::Kind::exclusive);
    } catch (const Error& error) {
      if (error.code() != errc::not_found) throw;
    }
    // While one waited, the container may have been removed, and even made again.
    if (!lock || !core.is_at(path, fd.get())) continue;
    const auto text = read_note(fd.get(), "container.json");
    if (!text)
      throw_error(errc::damaged, "open", "container " + quoted((core.root() / path).native()),
                  "it has no container.json");
    return LockedContainer(std::move(fd), *std::move(lock), container_from_json(*text, core.root() / path));
  }
}

std::optional<LockedContainer> LockedContainer::create(const StoreCore& core, const Container& container,
                                                       const Layer& layer) {
  const std::string path = "containers/" + container.name;
  if (try_stat(core.root_descriptor(), path)) return std::nullopt;
  Draft draft(core);  // with the container's lock, as it is
  const int dir = draft.descriptor();
  {
    const Lock references = core.lock(Lock::Kind::shared);
    if (!core.has(layer.id)) core.get(layer.id);  // throws
    make_root(core, dir, container.read_only || container.whole ? "root" : "upper", root_attributes(core, layer));
    if (!container.read_only || container.whole) make_directory(dir, "work");
    core.write_note(dir, "container.json", to_json(container));
    core.sync(dir, shown(container));
    if (!draft.publish_whole(path)) return std::nullopt;
  }
  try {
    core.sync(open_directory(core.containers_directory()).get(), core.containers_directory().native());
  } catch (...) {
    draft.take_whole(path);
    throw;
  }
  auto [fd, lock] = std::move(draft).release();
  return LockedContainer(std::move(fd), std::move(lock), container);
}

void LockedContainer::record(const StoreCore& core, const Container& container) {
  if (to_json(container) != to_json(container_)) {
    const std::string draft = "container.json." + random_name();
    core.write_note(fd_.get(), draft, to_json(container));
    if (sys::renameat2(fd_.get(), draft.c_str(), fd_.get(), "container.json", 0) != 0)
      throw_errno(errno, "write", quoted((container.directory / "container.json").native()));
    core.sync(fd_.get(), shown(container));
  }
  container_ = container;
}

void LockedContainer::remove(const StoreCore& core) {
  const FileDescriptor containers = open_directory(core.containers_directory());
  const std::string draft = move_out(core);
  if (core.durability() == Durability::full && sys::fsync(containers.get()) != 0)
    throw_errno(errno, "sync the directory", quoted(core.containers_directory().native()));
  remove_draft(core, draft);
}

void LockedContainer::discard(const StoreCore& core) noexcept {
  try {
    remove_draft(core, move_out(core));
  } catch (const std::exception&) {
  }
}

/// Locked as it is, it makes a draft, which no sweep touches while this process lives. Opens nothing.
std::string LockedContainer::move_out(const StoreCore& core) const {
  const std::string path = "containers/" + container_.name, draft = random_name();
  const int root = core.root_descriptor();
  if (sys::renameat2(root, path.c_str(), root, ("staging/" + draft).c_str(), RENAME_NOREPLACE) != 0)
    throw_errno(errno, "remove", "container " + quoted(container_.name));
  // The default mount point, if it was ever used; anything else there is not ours.
  sys::unlinkat(root, ("mounts/" + container_.name).c_str(), AT_REMOVEDIR);
  return draft;
}

void LockedContainer::remove_draft(const StoreCore& core, const std::string& name) const {
  try {
    remove_tree(open_directory(core.root() / "staging").get(), name, shown(container_));
  } catch (const Error&) {
    // What is left goes with the next sweep.
  }
}

}  // namespace strata::detail
