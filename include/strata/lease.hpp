// Leases: what keeps layers from gc() while nothing else needs them yet, as between a pull and the first container.
//
//   auto lease = store.lease();                                  // ends with this object, or with the process
//   store.import(source, {.lease = &lease});
//
//   store.lease({.name = "ci-42", .expires_after = std::chrono::hours(1), .survives = true});  // ends in an hour
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

namespace detail {
class LeaseHolder;
class StoreCore;
}  // namespace detail

struct LeaseOptions {
  std::string name = {};                                   ///< as a container's; empty: one that nobody has
  std::optional<std::chrono::seconds> expires_after = {};  ///< unset: it doesn't expire
  /// It outlives its Lease and the process, until it expires or LayerStore::remove_lease.
  bool survives = false;
};

/// A lease as it is found in a store.
struct LeaseState {
  std::string name = {};
  std::vector<Digest> layers = {};  ///< that it keeps, with all below them; sorted
  std::string created = {};         ///< RFC 3339, UTC
  std::string expires = {};         ///< the same; empty: never
  bool survives = false;
  bool live = true;  ///< false: it has expired, or its process has ended, and gc() removes it
};

/// A lease that is held. Movable; thread safe but for moving and release(). What it keeps, gc() doesn't remove;
/// remove() doesn't either. Unless it survives, it ends with this object, and, after a crash, with the process: a lock
/// says that it is held.
class STRATA_API Lease {
 public:
  explicit Lease(std::unique_ptr<detail::LeaseHolder> holder);  ///< of LayerStore::lease; not for hosts
  Lease(Lease&&) noexcept;
  Lease& operator=(Lease&&) noexcept;
  ~Lease();

  const std::string& name() const noexcept;
  /// Keeps a layer, and all below it, from now on. errc::not_found: the layer isn't there, or the lease was removed. A
  /// lease that survives is on the disk when this returns, as far as the store's durability goes.
  void add(const Digest& layer) const;
  /// Sets when it expires, from now on; unset: never.
  void renew(std::optional<std::chrono::seconds> expires_after) const;
  /// Ends it now, also one that survives. Throws where that fails; the destructor doesn't.
  void release();

  const detail::LeaseHolder& holder() const noexcept { return *holder_; }  ///< not for hosts

 private:
  std::unique_ptr<detail::LeaseHolder> holder_;
};

}  // namespace strata
