#include <strata/error.hpp>
#include <strata/mounter.hpp>

#include "base/files.hpp"
#include "mount/container_directory.hpp"
#include "mount/container_mounts.hpp"
#include "mount/readable_form.hpp"
#include "mount/sys_mount.hpp"
#include "mount/unmount.hpp"
#include "store/core.hpp"
#include "store/draft.hpp"
#include "store/snapshots.hpp"
#include "tree/directory.hpp"

#include <boost/filesystem/operations.hpp>

#include <algorithm>
#include <set>

namespace strata {
namespace {

using boost::filesystem::path;
using detail::ContainerMounts;
using detail::LockedContainer;
using detail::StoreCore;

std::string shown(std::string_view name) { return "container " + quoted(name); }

void check_same(const Container& known, const Container& asked) {
  const auto differs = [&](const std::string& how) {
    throw_error(errc::already_exists, "mount", shown(asked.name), "there is one of this name " + how,
                "use another name, or remove it first");
  };
  if (known.layer != asked.layer) differs("on layer " + known.layer.to_string());
  if (known.read_only != asked.read_only) differs(known.read_only ? "that is read-only" : "that can be written");
  if (known.backend != asked.backend) differs("of backend " + known.backend);
}

path target_of(const StoreCore& core, const Container& container, const path& asked) {
  if (asked.empty() && container.whole && !container.read_only) return container.upper();
  path target = asked;
  if (target.empty()) {
    detail::make_directory(core.root_descriptor(), "mounts/" + container.name);
    target = core.mounts_directory() / container.name;
  }
  // As the mount table will show it.
  boost::system::error_code failed;
  const path real = boost::filesystem::canonical(target, failed);
  if (failed.value() == ENOTCONN)
    throw_error(errc::already_exists, "mount", shown(container.name),
                "on " + quoted(target.native()) + " is a mount whose program has died", "unmount it first");
  if (failed) throw_errno(failed.value(), "open", "mount point " + quoted(target.native()));
  return real;
}

/// Chain ids of a layer and those below it, topmost first.
std::vector<Digest> chain_of(const Layer& layer) {
  std::vector<Digest> chain;
  for (const Digest& diff_id : layer.diff_ids)
    chain.push_back(chain_id(chain.empty() ? std::nullopt : std::optional(chain.back()), diff_id));
  std::reverse(chain.begin(), chain.end());
  return chain;
}

/// No copy of a tree is to be made while it is repaired: locks, each of which repair waits for.
std::vector<detail::Lock> lock_trees(const StoreCore& core, const Layer& layer) {
  std::vector<detail::Lock> locks;
  std::set<Digest> seen;
  for (const Digest& key : layer.trees) {
    if (!seen.insert(key).second) continue;
    const FileDescriptor tree = detail::open_directory(core.tree_directory(key));
    auto lock = detail::Lock::attempt(tree.get(), "lock", detail::Lock::Kind::shared);
    if (!lock)  // the repair may wait for this very container
      throw_error(errc::in_use, "mount", "tree " + key.to_string(), "it is being repaired", "try again");
    locks.push_back(*std::move(lock));
  }
  return locks;
}

UnionForm form_for(const detail::BackendPolicy& backend, UnionForm store_form, const std::string& subject) {
  if (const auto form = detail::readable_form(backend.reads, store_form)) return *form;
  throw_error(
      errc::unsupported, "mount", subject,
      "backend " + backend.name + " can't read layers in the form " + std::string(to_string(store_form)) + " here",
      store_form == UnionForm::overlay_trusted
          ? "work outside of a user namespace, or with a store that was made inside one"
          : "use a newer kernel");
}

path kept_by(const StoreCore& core, const std::string& backend) { return core.root() / "snapshots" / backend; }

MountPlan plan_of(const StoreCore& core, const Container& container, const Layer& layer, int directory,
                  const detail::BackendPolicy& backend, UnionForm form, const Control& control) {
  MountPlan plan;
  plan.lowers = core.lowers(layer, form, control);
  plan.control = control;
  plan.trees = true;
  plan.target = container.target;
  plan.read_only = container.read_only;
  plan.durable = core.durability() == Durability::full;
  plan.form = form;
  plan.options = container.options;
  plan.source = detail::mount_source(core, container.name);
  if (backend.keeps) {
    // Each layer by its own name, also where two have the same tree.
    plan.chain = chain_of(layer);
    plan.lowers.clear();
    for (auto key = layer.trees.rbegin(); key != layer.trees.rend(); ++key)
      plan.lowers.push_back(core.tree_directory(*key) / "fs");
    plan.kept = kept_by(core, container.backend);
  }
  if (container.whole) {
    plan.lowers.insert(plan.lowers.begin(), container.directory / "root");
    plan.upper = container.upper();
    plan.work = container.work();
  } else if (!container.read_only) {
    plan.upper = container.upper();
    plan.work = container.work();
  } else if (plan.lowers.size() < backend.max_layers) {
    plan.lowers.insert(plan.lowers.begin(), container.directory / "root");
  } else {
    // There is room for the layers only: `root` goes where the upper does, of a mount that is read-only nonetheless.
    detail::make_directory(directory, "work");
    plan.upper = container.directory / "root";
    plan.work = container.work();
  }
  return plan;
}

/// Takes down the mounts, the last one first. Nothing else that lies on the same place is touched. False: there were
/// none.
bool unmount_all(const std::function<void(std::string_view target)>& unmount, const ContainerMounts& container) {
  for (bool found = false;; found = true) {
    const auto table = mount_table();
    const auto mounts = container.of(table);
    if (mounts.empty()) return found;
    const path& target = mounts.back().target;
    const auto top =
        std::find_if(table.rbegin(), table.rend(), [&](const auto& entry) { return entry.target == target; });
    if (!container.has(*top))
      throw_error(errc::in_use, "unmount", quoted(target.native()), quoted(top->source) + " is mounted over it",
                  "unmount that first");
    unmount(target.native());
  }
}

/// Unmounts a container; false: there is none, and none is mounted.
bool unmount_container(const StoreCore& core, const detail::BackendPolicy& backend, const std::string& name) {
  const auto container = LockedContainer::open(core, name);
  const ContainerMounts mounts(core, name, container && container->container().whole);
  // Mostly it is mounted once, where its record says. With many layers the line that the table has of it is long, and
  // the kernel slow to write it: so that mount alone is asked for first.
  const bool at_target = container && mounts.is_at(container->container().target);
  if (at_target) backend.unmount(container->container().target.native());
  if (unmount_all(backend.unmount, mounts) || at_target) return true;
  if (!container) return false;
  if (const std::string process = mounts.elsewhere(); !process.empty())
    throw_error(errc::in_use, "unmount", shown(name), "it is mounted in another mount namespace, that of " + process,
                "unmount it there");
  return true;
}

/// Whether a directory in containers/ is what a power cut may leave of one: without a record that can be read, and
/// without anything that was written into it.
bool is_half_made(const StoreCore& core, const std::string& name) {
  const FileDescriptor dir =
      detail::try_open_beneath(core.root_descriptor(), "containers/" + name, O_RDONLY | O_DIRECTORY);
  if (!dir) return false;
  const auto text = detail::read_note(dir.get(), "container.json");
  if (text && !text->empty()) return false;
  const FileDescriptor upper = detail::try_open_beneath(dir.get(), "upper", O_RDONLY | O_DIRECTORY);
  if (detail::try_open_beneath(dir.get(), "work/" + std::string(detail::device_record), O_PATH)) return false;
  return !upper || detail::list_directory(upper.get()).empty();
}

}  // namespace

MountedRoot::MountedRoot(Container container, MountResult result, std::function<void()> unmount)
    : container_(std::move(container)), result_(std::move(result)), unmount_(std::move(unmount)) {}

MountedRoot::MountedRoot(MountedRoot&& other) noexcept
    : container_(std::move(other.container_)),
      result_(std::move(other.result_)),
      unmount_(std::move(other.unmount_)),
      owned_(std::exchange(other.owned_, false)) {}

MountedRoot& MountedRoot::operator=(MountedRoot&& other) noexcept {
  if (this == &other) return *this;
  drop();
  container_ = std::move(other.container_);
  result_ = std::move(other.result_);
  unmount_ = std::move(other.unmount_);
  owned_ = std::exchange(other.owned_, false);
  return *this;
}

MountedRoot::~MountedRoot() { drop(); }

bool MountedRoot::works() const noexcept {
  struct stat st {};
  return sys::fstatat(AT_FDCWD, container_.target.c_str(), st, 0) == 0;
}

void MountedRoot::unmount() {
  if (!owned_) return;
  unmount_();
  owned_ = false;
}

void MountedRoot::drop() noexcept {
  if (!std::exchange(owned_, false)) return;
  try {
    unmount_();
  } catch (const std::exception&) {
    sys::umount2(container_.target.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
  }
}

MounterBase::MounterBase(const LayerStoreBase& store, detail::BackendPolicy backend)
    : core_(store.core()), backend_(std::move(backend)) {}

MountedRoot MounterBase::mount(const Digest& layer, std::string_view name, const MountOptions& options) const {
  check_container_name(name);
  const UnionForm form = form_for(backend_, core_->form(), shown(name));
  const Layer mounted = core_->get(layer);

  Container asked;
  asked.name = name;
  asked.layer = layer;
  asked.read_only = options.read_only;
  asked.created = detail::now_rfc3339();
  asked.backend = backend_.name;
  asked.whole = backend_.whole;
  if (const UnionForm written = backend_.writes(form); !asked.whole && written != core_->form()) asked.form = written;
  asked.options = options.overlay;
  asked.image = options.image;
  asked.directory = core_->containers_directory() / asked.name;
  asked.target = target_of(*core_, asked, options.target);

  auto locked = LockedContainer::create(*core_, asked, mounted);
  const bool made = locked.has_value();
  while (!locked) {
    locked = LockedContainer::open(*core_, asked.name);
    if (!locked) locked = LockedContainer::create(*core_, asked, mounted);
  }
  try {
    if (!made) {
      check_same(locked->container(), asked);
      if (const std::string place = ContainerMounts(*core_, asked.name, asked.whole).place(); !place.empty())
        throw_error(errc::already_exists, "mount", shown(name), "it is mounted already, " + place, "unmount it first");
      asked.created = locked->container().created;
      if (!asked.image) asked.image = locked->container().image;
      locked->record(*core_, asked);
    }
    const MountPlan plan = plan_of(*core_, asked, mounted, locked->descriptor(), backend_, form, options.control);
    std::vector<detail::Lock> reading;
    if (backend_.whole || backend_.keeps) reading = lock_trees(*core_, mounted);
    MountResult result = backend_.mount(plan);
    return MountedRoot(asked, std::move(result), [core = core_, backend = backend_, name = asked.name] {
      unmount_container(*core, backend, name);
    });
  } catch (...) {
    if (made) locked->discard(*core_);
    throw;
  }
}

void MounterBase::unmount(std::string_view name) const {
  check_container_name(name);
  if (!unmount_container(*core_, backend_, std::string(name)))
    throw_error(errc::not_found, "unmount", shown(name), "there is none");
}

std::vector<ContainerState> MounterBase::list() const {
  const auto table = mount_table();
  std::vector<ContainerState> states;
  for (Container& container : core_->containers()) {
    auto mounts = ContainerMounts(*core_, container.name, container.whole).of(table);
    ContainerState state{std::move(container), std::nullopt};
    if (!mounts.empty()) state.mounted = std::move(mounts.back());
    states.push_back(std::move(state));
  }
  return states;
}

void MounterBase::remove(std::string_view name) const {
  check_container_name(name);
  auto container = LockedContainer::open(*core_, std::string(name));
  if (!container) throw_error(errc::not_found, "remove", shown(name), "there is none");
  const bool whole = container->container().whole;
  if (const std::string place = ContainerMounts(*core_, std::string(name), whole).place(); !place.empty())
    throw_error(errc::in_use, "remove", shown(name), "it is mounted " + place, "unmount it first");
  container->remove(*core_);
  if (!backend_.sweep) return;
  try {
    backend_.sweep(kept_by(*core_, backend_.name));
  } catch (const Error&) {
    // The container is gone; what is left of it goes with the next sweep.
  }
}

std::vector<std::string> MounterBase::clean() const {
  std::vector<std::string> cleaned;
  const auto exists = [&](const std::string& name) {
    return detail::try_stat(core_->root_descriptor(), "containers/" + name).has_value();
  };
  // Of a container that is gone nobody knows the backend.
  const auto by_name = [](std::string_view target) { detail::unmount_at(std::string(target), "what is mounted"); };
  for (const MountedEntry& entry : mount_table()) {
    const auto name = detail::container_of_source(*core_, entry.source);
    if (!name || exists(*name)) continue;
    unmount_all(by_name, ContainerMounts(*core_, *name, false));
    cleaned.push_back("unmounted " + quoted(entry.target.native()) + ", of container " + quoted(*name) +
                      " that no longer exists");
  }
  const FileDescriptor containers = detail::open_directory(core_->containers_directory());
  for (const auto& entry : detail::list_directory(containers.get())) {
    if (!is_half_made(*core_, entry.name)) continue;
    const detail::Draft draft(*core_);
    draft.take("containers/" + entry.name, "container");
    cleaned.push_back("removed container " + quoted(entry.name) + ", which was half made");
  }
  const FileDescriptor mounts = detail::open_directory(core_->mounts_directory());
  for (const auto& entry : detail::list_directory(mounts.get()))
    if (!exists(entry.name) && sys::unlinkat(mounts.get(), entry.name.c_str(), AT_REMOVEDIR) == 0)
      cleaned.push_back("removed mount point " + quoted(entry.name) + " of a container that no longer exists");
  detail::sweep_drafts(*core_);
  if (backend_.sweep) backend_.sweep(kept_by(*core_, backend_.name));
  return cleaned;
}

}  // namespace strata
