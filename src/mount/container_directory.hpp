// A container's directory, containers/NAME: made whole in staging and renamed into place, then changed only under its
// own lock, containers/NAME/lock.
#pragma once

#include <strata/container.hpp>

#include "store/core.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace strata::detail {

/// A container, locked by this object against others who would mount, unmount or remove it. The lock is for the
/// duration of one operation: whether it is mounted is the kernel's to say.
class LockedContainer {
 public:
  /// Waits for the lock. nullopt: there is no such container.
  static std::optional<LockedContainer> open(const StoreCore& core, const std::string& name);
  /// Makes the container with directories for its upper and work, or, read-only, an empty `root`; a whole one has
  /// `root` and work, and gets its upper later. Upper or root take the attributes of the chain's root. nullopt: the
  /// name is taken. Throws errc::not_found where `layer`, the container's, is gone.
  static std::optional<LockedContainer> create(const StoreCore& core, const Container& container, const Layer& layer);

  const Container& container() const { return container_; }
  int descriptor() const { return fd_.get(); }
  /// Writes the record anew where it differs: by rename, so that a reader finds the old or the new.
  void record(const StoreCore& core, const Container& container);
  /// Deletes it, under a name that is none first: after an error or a crash it is there whole, or is none any more.
  void remove(const StoreCore& core);
  /// The same for one that is to be as if it had never been: as far as it goes, and without a sync.
  void discard(const StoreCore& core) noexcept;

 private:
  LockedContainer(FileDescriptor fd, Lock lock, Container container)
      : fd_(std::move(fd)), lock_(std::move(lock)), container_(std::move(container)) {}
  std::string move_out(const StoreCore& core) const;
  void remove_draft(const StoreCore& core, const std::string& name) const;

  FileDescriptor fd_;
  Lock lock_;
  Container container_;
};

}  // namespace strata::detail
