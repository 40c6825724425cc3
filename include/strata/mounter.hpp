// Mounter: stacks a chain into a root filesystem, writable or not, and takes it down again. What is mounted comes
// from the kernel's mount table, never from a counter: a process that dies leaves nothing that has to be repaired.
//
//   strata::Mounter<> mounter{store};
//   auto root = mounter.mount(app.id, "web-1");  // root.path() is the merged view
#pragma once

#include <strata/concepts.hpp>
#include <strata/container.hpp>
#include <strata/export.hpp>
#include <strata/layer_store.hpp>
#include <strata/mount/kernel_overlay.hpp>
#include <strata/mount_plan.hpp>

#include <boost/filesystem/path.hpp>

#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

struct MountOptions {
  bool read_only = false;
  /// An existing directory. Empty: ROOT/mounts/NAME; of a backend that is no union the directory that it makes, where
  /// that is to be written: then nothing is mounted.
  boost::filesystem::path target = {};
  OverlayOptions overlay = {};
  /// The image that the layer is mounted for, by its manifest: the container notes it, gc() leaves it, and
  /// LayerManager::commit takes its config. Of a container that is there already unset means: as it was.
  std::optional<Digest> image = {};
  /// Of what is made before the mount: a copy, snapshots or images of layers, trees in another union form. When it is
  /// stopped, what is complete of them stays for the next mount, and the container is as it was.
  Control control = {};
};

/// A container and whether it is mounted. (One that is used where it is has no mount.)
struct ContainerState {
  Container container;
  std::optional<MountedEntry> mounted;
};

namespace detail {
/// A backend without its type, for compiled code.
struct BackendPolicy {
  template <MountBackend Backend>
  static BackendPolicy of(Backend backend);

  std::string name;
  std::size_t max_layers;
  bool whole;
  bool keeps;
  std::function<bool(UnionForm)> reads;
  std::function<UnionForm(UnionForm)> writes;
  std::function<MountResult(const MountPlan&)> mount;
  std::function<void(std::string_view)> unmount;
  std::function<void(const boost::filesystem::path&)> sweep;  ///< empty: there is nothing to sweep
};

template <MountBackend Backend>
BackendPolicy BackendPolicy::of(Backend model) {
  std::size_t max_layers = std::numeric_limits<std::size_t>::max();
  if constexpr (requires { Backend::max_layers; }) max_layers = Backend::max_layers;
  bool whole = false;
  if constexpr (requires { Backend::whole; }) whole = Backend::whole;
  bool keeps = false;
  if constexpr (requires { Backend::keeps; }) keeps = Backend::keeps;
  const auto backend = std::make_shared<Backend>(std::move(model));
  std::function<void(const boost::filesystem::path&)> sweep;
  if constexpr (requires(const Backend& b, const boost::filesystem::path& kept) { b.sweep(kept); })
    sweep = [backend](const boost::filesystem::path& kept) { backend->sweep(kept); };
  return {std::string(Backend::name),
          max_layers,
          whole,
          keeps,
          [backend](UnionForm form) { return backend->reads(form); },
          [backend](UnionForm form) {
            if constexpr (requires { backend->writes(form); })
              return backend->writes(form);
            else
              return form;
          },
          [backend](const MountPlan& plan) { return backend->mount(plan); },
          [backend](std::string_view target) { backend->unmount(target); },
          std::move(sweep)};
}
}  // namespace detail

/// A mounted container. Owns the mount: unless keep() or unmount() was called, the destructor unmounts (lazily where it
/// is busy, without a word); the container's directories stay. Movable. May outlive its Mounter.
class STRATA_API MountedRoot {
 public:
  MountedRoot(MountedRoot&&) noexcept;
  MountedRoot& operator=(MountedRoot&&) noexcept;
  ~MountedRoot();

  /// The merged view.
  const boost::filesystem::path& path() const noexcept { return container_.target; }
  const Container& container() const noexcept { return container_; }
  operator const Container&() const noexcept { return container_; }
  /// Whether what is mounted can be looked at. Not so once the program that serves it, of a backend that has one, has
  /// died: then it is to be unmounted and mounted again.
  bool works() const noexcept;
  /// How the mount was made.
  const MountResult& result() const noexcept { return result_; }

  /// Unmounts now. Throws errc::in_use while it is busy; the handle owns it still.
  void unmount();
  /// Leaves it mounted when the handle goes.
  void keep() noexcept { owned_ = false; }

 private:
  friend class MounterBase;
  MountedRoot(Container container, MountResult result, std::function<void()> unmount);
  void drop() noexcept;
  Container container_;
  MountResult result_;
  std::function<void()> unmount_;
  bool owned_ = true;
};

/// The compiled part of Mounter; hosts name Mounter. Thread safe, and safe beside other processes on the same store.
class STRATA_API MounterBase {
 public:
  /// Mounts the chain of `layer` as container `name`. A new name makes a container (its upper's root takes the
  /// attributes of the chain's root); a known one that isn't mounted is mounted again with what it holds, if layer and
  /// read_only are the same. errc::already_exists where it is mounted, be it in another mount namespace, or on another
  /// layer. After an error: no container that wasn't there before. After a crash: a container that isn't mounted.
  MountedRoot mount(const Digest& layer, std::string_view name, const MountOptions& options = {}) const;

  /// Unmounts a container by name. errc::not_found where there is none; not being mounted is success. errc::in_use
  /// while it is busy, or where only processes in another mount namespace can unmount it.
  void unmount(std::string_view name) const;
  /// All containers with what the mount table says of each.
  std::vector<ContainerState> list() const;
  /// Deletes a container's directories. errc::in_use while it is mounted. After a crash: it is there, or gone.
  void remove(std::string_view name) const;
  /// Unmounts what is mounted of containers that no longer exist, and removes containers that a killed process left
  /// half made. A backend that keeps something else than directories deletes what no container and no layer needs.
  /// Returns what was cleaned, a line each.
  std::vector<std::string> clean() const;

 protected:
  MounterBase(const LayerStoreBase& store, detail::BackendPolicy backend);

 private:
  std::shared_ptr<detail::StoreCore> core_;
  detail::BackendPolicy backend_;
};

/// Mounts the layers of a store by `Backend`.
template <MountBackend Backend = KernelOverlay>
class Mounter : public MounterBase {
 public:
  explicit Mounter(const LayerStoreBase& store, Backend backend = {})
      : MounterBase(store, detail::BackendPolicy::of(std::move(backend))) {}
};

}  // namespace strata
