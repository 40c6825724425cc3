// Which mounts are a container's: the kernel's table is asked, nobody counts.
#pragma once

#include <strata/container.hpp>
#include <strata/mount_plan.hpp>

#include "store/core.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// What a union that is a container's has as its source: "strata:NAME@STORE", with the store's directory by device and
/// inode, so that it is known wherever it is mounted, under whatever name the store was opened, and from every process.
std::string mount_source(const StoreCore& core, std::string_view name);
/// The NAME of such a source; nullopt: it is another store's, or no container's.
std::optional<std::string> container_of_source(const StoreCore& core, std::string_view source);

/// Tells a container's mounts from others: a union by its source, a bind mount of a whole one by what it shows.
class ContainerMounts {
 public:
  /// `whole`: that one of this name is, or may be.
  ContainerMounts(const StoreCore& core, const std::string& name, bool whole);

  bool has(const MountedEntry& entry) const;
  /// Those of a table, in its order.
  std::vector<MountedEntry> of(const std::vector<MountedEntry>& table) const;
  /// Whether one is the topmost mount at `target`; false as well where the kernel can't say that of a single place.
  bool is_at(const boost::filesystem::path& target) const;
  /// A process in another mount namespace that has one: "process 12". Empty where none is found among those that may
  /// be looked at.
  std::string elsewhere() const;
  /// For a message: where there is one; empty: nowhere.
  std::string place() const;

 private:
  std::string source_;
  /// Of a whole one: what its bind mounts show. Both are the same in every mount namespace.
  std::string device_, root_;
};

}  // namespace strata::detail
