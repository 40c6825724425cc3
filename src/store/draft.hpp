// A draft: a directory in staging/ that is being written, invisible until what it holds is renamed into place.
#pragma once

#include <strata/file_descriptor.hpp>

#include "store/core.hpp"

#include <optional>
#include <string>

namespace strata::detail {

/// ROOT/staging/RANDOM, locked by its writer while it lives and removed when it goes. A writer that is killed leaves
/// the directory, whose lock is then free: sweep() finds it.
class Draft {
 public:
  explicit Draft(const StoreCore& core);
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft();

  int descriptor() const { return fd_.get(); }
  boost::filesystem::path path() const { return core_.root() / "staging" / name_; }
  const std::string& name() const { return name_; }

  /// Makes all that was written to the draft durable, as the store's durability asks.
  void sync() const;
  /// Renames `name` of the draft to `to` beneath the store's root. False where `to` is there already.
  bool publish(const std::string& name, const std::string& to) const;
  /// The opposite, for removal: moves `from` beneath the store's root into the draft.
  void take(const std::string& from, const std::string& name) const;

 private:
  const StoreCore& core_;
  std::string name_;
  FileDescriptor fd_;
  std::optional<Lock> lock_;
};

/// Removes the drafts of dead writers. Does nothing while anyone creates one.
void sweep_drafts(const StoreCore& core);

}  // namespace strata::detail
