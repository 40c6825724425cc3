#include <strata/any_mounter.hpp>
#include <strata/error.hpp>

#include "mount/backends.hpp"
#include "mount/readable_form.hpp"
#include "store/core.hpp"

#include <map>

namespace strata {
namespace {

using detail::known_backends;
using detail::KnownBackend;

BackendChoice judge(const KnownBackend& backend, const LayerStoreBase& store) {
  BackendChoice choice{std::string(backend.name), false, {}};
  if (MountProbe probe = backend.probe(); !probe.usable)
    choice.why = std::move(probe.why);
  else if (!backend.fits(store.core()->root_descriptor()))
    choice.why = backend.unfit;
  else if (!detail::readable_form(backend.reads, store.form()))
    choice.why = "it can't read layers in the form " + std::string(to_string(store.form())) + " here";
  choice.usable = choice.why.empty();
  return choice;
}

/// A mounter of a backend without its type.
class NamedMounter : public MounterBase {
 public:
  NamedMounter(const LayerStoreBase& store, const KnownBackend& backend) : MounterBase(store, backend.policy()) {}
};

}  // namespace

struct AnyMounter::Impl {
  explicit Impl(const LayerStoreBase& store) : core(store.core()) {
    for (const KnownBackend& backend : known_backends()) mounters.emplace(backend.name, NamedMounter(store, backend));
  }

  /// For what asks no backend: they list and clean alike.
  const NamedMounter& any() const { return mounters.begin()->second; }
  /// That of new containers.
  const NamedMounter& best() const {
    if (!chosen.empty()) return mounters.at(chosen);
    std::string why;
    for (const BackendChoice& choice : passed_over) why += (why.empty() ? "" : "; ") + choice.name + ": " + choice.why;
    throw_error(errc::unsupported, "mount", "the layers of this store", "no backend can here: " + why);
  }
  /// That of a container; `otherwise` where there is none of this name.
  const NamedMounter& of(std::string_view name, const NamedMounter& (Impl::*otherwise)() const) const {
    const auto container = core->find_container(name);
    if (!container) return (this->*otherwise)();
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
  for (const KnownBackend& backend : known_backends()) all.emplace_back(backend.name);
  return all;
}

std::vector<BackendChoice> AnyMounter::choices(const LayerStoreBase& store) {
  std::vector<BackendChoice> all;
  for (const KnownBackend& backend : known_backends()) all.push_back(judge(backend, store));
  return all;
}

AnyMounter::AnyMounter(const LayerStoreBase& store, std::string_view backend) : impl_(std::make_unique<Impl>(store)) {
  if (backend.empty()) {
    for (const KnownBackend& one : known_backends()) {
      BackendChoice choice = judge(one, store);
      if (choice.usable) {
        impl_->chosen = std::move(choice.name);
        return;
      }
      impl_->passed_over.push_back(std::move(choice));
    }
    return;
  }
  if (const BackendChoice choice = judge(detail::backend_named(backend), store); !choice.usable)
    throw_error(errc::unsupported, "use", "mount backend " + quoted(backend), choice.why);
  impl_->chosen = backend;
}

AnyMounter::AnyMounter(AnyMounter&&) noexcept = default;
AnyMounter& AnyMounter::operator=(AnyMounter&&) noexcept = default;
AnyMounter::~AnyMounter() = default;

const std::string& AnyMounter::backend() const noexcept { return impl_->chosen; }
const std::vector<BackendChoice>& AnyMounter::passed_over() const noexcept { return impl_->passed_over; }

MountedRoot AnyMounter::mount(const Digest& layer, std::string_view name, const MountOptions& options) const {
  check_container_name(name);
  return impl_->of(name, &Impl::best).mount(layer, name, options);
}
void AnyMounter::unmount(std::string_view name) const {
  check_container_name(name);
  impl_->of(name, &Impl::any).unmount(name);
}
std::vector<ContainerState> AnyMounter::list() const { return impl_->any().list(); }
void AnyMounter::remove(std::string_view name) const {
  check_container_name(name);
  impl_->of(name, &Impl::any).remove(name);
}
std::vector<std::string> AnyMounter::clean() const { return impl_->any().clean(); }

}  // namespace strata
