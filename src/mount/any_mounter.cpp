#include <strata/any_mounter.hpp>
#include <strata/error.hpp>
#include <strata/mount/btrfs.hpp>
#include <strata/mount/copy.hpp>
#include <strata/mount/fuse_overlayfs.hpp>
#include <strata/mount/kernel_overlay.hpp>

#include "mount/sys_mount.hpp"
#include "store/core.hpp"

#include <linux/magic.h>

#include <algorithm>
#include <map>

namespace strata {
namespace {

bool anywhere(const LayerStoreBase&) { return true; }

bool is_on_btrfs(const LayerStoreBase& store) {
  struct statfs st {};
  return sys::fstatfs(store.core()->root_descriptor(), st) == 0 &&
         static_cast<unsigned long>(st.f_type) == BTRFS_SUPER_MAGIC;
}

struct Backend {
  std::string_view name;
  MountProbe (*probe)();
  detail::BackendPolicy (*policy)();
  bool (*fits)(const LayerStoreBase& store);  ///< the place where the store is
  const char* unfit;                          ///< why, where it doesn't
};

template <MountBackend B>
constexpr Backend row(bool (*fits)(const LayerStoreBase&) = anywhere, const char* unfit = "") {
  return {B::name, [] { return B{}.probe(); }, [] { return detail::BackendPolicy::of(B{}); }, fits, unfit};
}

/// Best first.
constexpr Backend backends[] = {
    row<KernelOverlay>(),
    row<FuseOverlayfs>(),
    row<Btrfs>(is_on_btrfs, "the store isn't on btrfs"),
    row<Copy>(),
};

const Backend* find(std::string_view name) {
  const auto* const found = std::ranges::find(backends, name, &Backend::name);
  return found == std::end(backends) ? nullptr : found;
}

BackendChoice judge(const Backend& backend, const LayerStoreBase& store) {
  BackendChoice choice{std::string(backend.name), false, {}};
  if (MountProbe probe = backend.probe(); !probe.usable)
    choice.why = std::move(probe.why);
  else if (!backend.fits(store))
    choice.why = backend.unfit;
  else if (!backend.policy().reads(store.form()))
    choice.why = "it can't read layers in the form " + std::string(to_string(store.form())) + " here";
  choice.usable = choice.why.empty();
  return choice;
}

/// A mounter of a backend without its type.
class NamedMounter : public MounterBase {
 public:
  NamedMounter(const LayerStoreBase& store, const Backend& backend) : MounterBase(store, backend.policy()) {}
};

}  // namespace

struct AnyMounter::Impl {
  explicit Impl(const LayerStoreBase& store) : core(store.core()) {
    for (const Backend& backend : backends) mounters.emplace(backend.name, NamedMounter(store, backend));
  }

  /// That of a container, or of new ones where there is none of this name.
  const NamedMounter& of(std::string_view name) const {
    const auto container = core->find_container(name);
    if (!container) return mounters.at(chosen);
    const auto found = mounters.find(container->backend);
    if (found == mounters.end())
      throw_error(errc::unsupported, "use", "container " + quoted(name),
                  "it is of the backend " + quoted(container->backend) + ", which isn't known here",
                  "use the program that made it");
    return found->second;
  }

  std::shared_ptr<detail::StoreCore> core;
  std::map<std::string, NamedMounter, std::less<>> mounters;
  std::string chosen;
  std::vector<BackendChoice> passed_over;
};

std::vector<std::string> AnyMounter::names() {
  std::vector<std::string> all;
  for (const Backend& backend : backends) all.emplace_back(backend.name);
  return all;
}

std::vector<BackendChoice> AnyMounter::choices(const LayerStoreBase& store) {
  std::vector<BackendChoice> all;
  for (const Backend& backend : backends) all.push_back(judge(backend, store));
  return all;
}

AnyMounter::AnyMounter(const LayerStoreBase& store, std::string_view backend) : impl_(std::make_unique<Impl>(store)) {
  if (backend.empty()) {
    for (const Backend& one : backends) {
      BackendChoice choice = judge(one, store);
      if (choice.usable) {
        impl_->chosen = std::move(choice.name);
        return;
      }
      impl_->passed_over.push_back(std::move(choice));
    }
  }
  const Backend* const named = find(backend);
  if (named == nullptr) {
    std::string known;
    for (const std::string& name : names()) known += (known.empty() ? "" : ", ") + name;
    throw_error(errc::bad_argument, "use the backend", quoted(backend), "known are " + known);
  }
  if (const BackendChoice choice = judge(*named, store); !choice.usable)
    throw_error(errc::unsupported, "use the backend", quoted(backend), choice.why);
  impl_->chosen = backend;
}

AnyMounter::AnyMounter(AnyMounter&&) noexcept = default;
AnyMounter& AnyMounter::operator=(AnyMounter&&) noexcept = default;
AnyMounter::~AnyMounter() = default;

const std::string& AnyMounter::backend() const noexcept { return impl_->chosen; }
const std::vector<BackendChoice>& AnyMounter::passed_over() const noexcept { return impl_->passed_over; }

MountedRoot AnyMounter::mount(const Digest& layer, std::string_view name, const MountOptions& options) const {
  check_container_name(name);
  return impl_->of(name).mount(layer, name, options);
}
void AnyMounter::unmount(std::string_view name) const {
  check_container_name(name);
  impl_->of(name).unmount(name);
}
std::vector<ContainerState> AnyMounter::list() const { return impl_->mounters.at(impl_->chosen).list(); }
void AnyMounter::remove(std::string_view name) const {
  check_container_name(name);
  impl_->of(name).remove(name);
}
std::vector<std::string> AnyMounter::clean() const { return impl_->mounters.at(impl_->chosen).clean(); }

}  // namespace strata
