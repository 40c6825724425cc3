// A draft: a directory in staging/ that is being written, invisible until what it holds is renamed into place.
#pragma once

#include <strata/file_descriptor.hpp>

#include "store/core.hpp"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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
  /// Renames the draft itself, with all that it holds, its lock too, to `to` beneath the store's root; then it is left
  /// alone. False where `to` is there already.
  bool publish_whole(const std::string& to);
  /// Undoes that. Throws Error, and leaves it alone, where that can't be.
  void take_whole(const std::string& from);
  /// Gives away the directory that was published, and its lock.
  std::pair<FileDescriptor, Lock> release() &&;
  /// Renames `name` of the draft to `to` beneath the store's root. False where `to` is there already.
  bool publish(const std::string& name, const std::string& to) const;
  /// The same, in the place of what is there.
  void replace(const std::string& name, const std::string& to) const;
  /// The same, but the draft gets what is there.
  void exchange(const std::string& name, const std::string& to) const;
  /// The opposite of publish(), for removal: moves `from` beneath the store's root into the draft. Absence is success.
  void take(const std::string& from, const std::string& name) const;
  /// Undoes take(), as far as that can be.
  void put_back(const std::string& name, const std::string& to) const noexcept;

  /// Writes a note: whoever gives the draft up, its writer or a sweep, then takes the tree `key` out of the store,
  /// unless a layer has it.
  void note_orphan(const Digest& key) const;
  /// The same for a kept blob.
  void note_orphan_blob(const Digest& blob) const;
  /// Makes the notes durable, where nothing else of the draft needs to be.
  void sync_notes() const;
  /// What they name has a layer now, or is gone.
  void drop_notes() const;

  /// Keeps a layer while the draft lives, and with it all below. Throws errc::not_found where it isn't there.
  void need(const Digest& layer) const;
  /// The same for a caller who holds the store's lock shared, and knows that the layer is there.
  void note_need(const Digest& layer) const;
  /// The same in the place of what is below that layer, and kept by it.
  void need_instead(const std::optional<Digest>& below, const Digest& layer) const;
  /// Whether it holds nothing but its lock, so that it can be used again. Throws Error.
  bool is_empty() const;
  /// What is in the draft stays there for the next sweep: deleting it would take too long now.
  void leave() { left_ = true; }

 private:
  std::string place() const { return "staging/" + name_; }
  void remove_empty() const noexcept;

  const StoreCore& core_;
  std::string name_;
  FileDescriptor fd_;
  FileDescriptor
      spare_;  ///< given back before the draft is deleted, which takes descriptors, of which there may be none
  std::optional<Lock> lock_;
  bool left_ = false;
};

class SpareDrafts;

/// Where a draft goes that is done with.
struct DraftReturn {
  SpareDrafts* to = nullptr;  ///< none: nowhere
  void operator()(Draft* draft) const noexcept;
};
using DraftHandle = std::unique_ptr<Draft, DraftReturn>;

/// Drafts that have served, for the next layers of the same import. Outlives its handles. Thread safe.
class SpareDrafts {
 public:
  /// One of them, or a new one.
  DraftHandle take(const StoreCore& core);

 private:
  friend DraftReturn;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Draft>> drafts_;
};

/// Removes the drafts of dead writers, and returns their names. Does nothing while anyone creates one.
std::vector<std::string> sweep_drafts(const StoreCore& core);
/// What sweep_drafts() would find now.
std::vector<std::string> dead_drafts(const StoreCore& core);

/// What a living writer's draft relies on.
struct DraftNeeds {
  std::string draft;
  std::vector<Digest> layers;
  std::optional<Digest> tree;  ///< that is in place, or about to be
};
/// Of all living writers. With the store's lock held exclusively, none comes to need anything meanwhile.
std::vector<DraftNeeds> needs_of_drafts(const StoreCore& core);

}  // namespace strata::detail
