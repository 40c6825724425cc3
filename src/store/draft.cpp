#include "store/draft.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "tree/directory.hpp"

#include <linux/fs.h>

#include <algorithm>

namespace strata::detail {

namespace {
constexpr const char* lock_name = "lock";
}

Draft::Draft(const StoreCore& core) : core_(core), name_(random_name()) {
  // Held shared so that no sweep sees the directory before its lock is taken.
  const Lock creating = Lock::wait(core.root_descriptor(), "staging.lock", Lock::Kind::shared);
  const std::string path = "staging/" + name_;
  make_directory(core.root_descriptor(), path);
  fd_.reset(sys::openat(core.root_descriptor(), path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!fd_) throw_errno(errno, "open the draft", quoted(path));
  lock_ = Lock::wait(fd_.get(), lock_name, Lock::Kind::exclusive);
}

Draft::~Draft() {
  try {
    // The lock goes last: as long as it is there and held, no sweep touches the directory.
    for (const DirectoryEntry& entry : list_directory(fd_.get()))
      if (entry.name != lock_name) remove_tree(fd_.get(), entry.name);
    (void)sys::unlinkat(fd_.get(), lock_name, 0);
    (void)sys::unlinkat(core_.root_descriptor(), ("staging/" + name_).c_str(), AT_REMOVEDIR);
  } catch (const std::exception&) {
    // What is left goes with the next sweep.
  }
}

void Draft::sync() const {
  if (core_.durability() == Durability::none) return;
  if (sys::syncfs(fd_.get()) != 0) throw_errno(errno, "sync the draft", quoted(path().native()));
}

bool Draft::publish(const std::string& name, const std::string& to) const {
  if (sys::renameat2(fd_.get(), name.c_str(), core_.root_descriptor(), to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST || errno == ENOTEMPTY) return false;
  throw_errno(errno, "publish", quoted(to));
}

void Draft::take(const std::string& from, const std::string& name) const {
  if (sys::renameat2(core_.root_descriptor(), from.c_str(), fd_.get(), name.c_str(), RENAME_NOREPLACE) != 0 &&
      errno != ENOENT)
    throw_errno(errno, "remove", quoted(from));
}

namespace {

/// A tree that a dead writer put in place, but no layer came to use.
void take_orphan(const StoreCore& core, int draft) {
  const auto note = read_small_file(draft, "orphan");
  const auto key = note ? Digest::try_parse(*note) : std::nullopt;
  if (!key) return;
  const Lock alone = core.lock(Lock::Kind::exclusive);
  for (const Layer& layer : core.list())
    if (std::ranges::find(layer.trees, *key) != layer.trees.end()) return;
  (void)sys::renameat2(core.root_descriptor(), ("trees/" + std::string(key->algorithm()) + "/" + key->hex()).c_str(),
                       draft, "orphaned", 0);
}

void sweep_draft(const StoreCore& core, int staging, const std::string& name) {
  const FileDescriptor dir(sys::openat(staging, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!dir) return;
  // Without a lock it has only just been made, or is as good as gone; its writer is dead, or has done with it.
  std::optional<Lock> lock;
  if (try_stat(dir.get(), lock_name) && !(lock = Lock::attempt(dir.get(), lock_name, Lock::Kind::exclusive))) return;
  take_orphan(core, dir.get());
  remove_tree(staging, name);
}

}  // namespace

void sweep_drafts(const StoreCore& core) {
  const auto only = Lock::attempt(core.root_descriptor(), "staging.lock", Lock::Kind::exclusive);
  if (!only) return;
  const FileDescriptor staging = open_directory(core.root() / "staging");
  for (const DirectoryEntry& entry : list_directory(staging.get())) {
    try {
      sweep_draft(core, staging.get(), entry.name);
    } catch (const Error&) {
      // Another removes it at the same time, or it can't be removed: neither is this caller's concern.
    }
  }
}

}  // namespace strata::detail
