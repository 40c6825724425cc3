// leases/NAME/: `lease.json`, a `lock` that is held as long as a lease lives that doesn't survive its process, and in
// `layers/` an empty file for each layer, named by its id: adding one rewrites nothing.
#pragma once

#include <strata/lease.hpp>

#include "store/draft.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata::detail {

/// lease.json
struct LeaseRecord {
  std::string created = {};
  std::string expires = {};  ///< as rfc3339() writes it; empty: never
  bool survives = false;
};
std::string to_json(const LeaseRecord& record);
/// Throws errc::damaged.
LeaseRecord lease_record_from_json(std::string_view text);

/// What a Lease holds.
class LeaseHolder {
 public:
  static std::unique_ptr<LeaseHolder> create(std::shared_ptr<const StoreCore> core, const LeaseOptions& options);
  static std::unique_ptr<LeaseHolder> open(std::shared_ptr<const StoreCore> core, std::string_view name);
  LeaseHolder(const LeaseHolder&) = delete;
  LeaseHolder& operator=(const LeaseHolder&) = delete;
  ~LeaseHolder();

  const std::string& name() const { return name_; }
  void add(const Digest& layer) const;
  /// For a caller who holds the store's lock shared, and knows that the layer is there.
  void place(const Digest& layer) const;
  void renew(std::optional<std::chrono::seconds> expires_after) const;
  void release();
  /// Throws errc::not_found where it was removed.
  void check_there() const;

 private:
  LeaseHolder(std::shared_ptr<const StoreCore> core, std::string name, FileDescriptor dir, std::optional<Lock> lock)
      : core_(std::move(core)), name_(std::move(name)), dir_(std::move(dir)), lock_(std::move(lock)) {}

  std::shared_ptr<const StoreCore> core_;
  std::string name_;
  FileDescriptor dir_;
  std::optional<Lock> lock_;  ///< empty: it survives
};

/// By name. One that can't be read is taken to live, and to keep what it names.
std::vector<LeaseState> list_leases(const StoreCore& core);
/// False: there is none.
bool remove_lease(const StoreCore& core, const std::string& name);
/// For a caller who holds the store's lock exclusively: whoever adds to a lease comes before, or finds it gone.
void take_lease(const StoreCore& core, const Draft& draft, const std::string& name);

}  // namespace strata::detail
