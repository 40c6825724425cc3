#include "store/draft.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/image_record.hpp"
#include "store/translations.hpp"
#include "tree/directory.hpp"

#include <linux/fs.h>

#include <algorithm>

namespace strata::detail {

namespace {
constexpr const char* lock_name = "lock";
constexpr std::string_view need_prefix = "needs.";
constexpr const char* tree_note = "orphan";
constexpr const char* blob_note = "orphan_blob";

std::optional<Digest> note_of(int draft, const char* name) {
  const auto note = read_note(draft, name);
  return note ? Digest::try_parse(*note) : std::nullopt;
}

/// A tree, or a kept blob, that was put in place, but no layer came to use, or that lost its last one.
void take_orphans(const StoreCore& core, int draft) {
  const auto tree = note_of(draft, tree_note);
  const auto blob = note_of(draft, blob_note);
  if (!tree && !blob) return;
  const Lock alone = core.lock(Lock::Kind::exclusive);
  std::vector<Digest> damaged;
  const std::vector<Layer> layers = core.list(&damaged);
  // What a record that can't be read may need, nobody knows: gc takes it when that is mended.
  bool tree_used = !damaged.empty(), blob_used = tree_used;
  for (const Layer& layer : layers) {
    tree_used = tree_used || (tree && std::ranges::find(layer.trees, *tree) != layer.trees.end());
    blob_used = blob_used || (blob && layer.blob == *blob);
  }
  if (blob && !blob_used) {
    std::vector<Digest> unreadable;
    for (const ImageRecord& image : image_records(core, unreadable))
      blob_used = blob_used || std::ranges::find(image.blobs, *blob) != image.blobs.end();
    blob_used = blob_used || !unreadable.empty();
  }
  const auto take = [&](const std::string& place) {
    // Another name each time: who did this before may have been killed.
    if (sys::renameat2(core.root_descriptor(), place.c_str(), draft, random_name().c_str(), 0) != 0 && errno != ENOENT)
      throw_errno(errno, "remove", quoted(place));
  };
  if (tree && !tree_used) {
    take(core.tree_path(*tree));
    for (const std::string& translation : translations_of(core, *tree)) take(translation);
  }
  if (blob && !blob_used) take(core.blob_path(*blob));
}

}  // namespace

Draft::Draft(const StoreCore& core) : core_(core), name_(random_name()) {
  // Held shared so that no sweep sees the directory before its lock is taken.
  const Lock creating = Lock::wait(core.root_descriptor(), "staging.lock", Lock::Kind::shared);
  make_directory(core.root_descriptor(), place());
  try {
    fd_.reset(sys::openat(core.root_descriptor(), place().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (!fd_) throw_errno(errno, "open the draft", quoted(place()));
    lock_ = Lock::wait(fd_.get(), lock_name, Lock::Kind::exclusive);
    spare_.reset(sys::openat(fd_.get(), ".", O_PATH | O_DIRECTORY));
    if (!spare_) throw_errno(errno, "open the draft", quoted(place()));
  } catch (...) {
    remove_empty();
    throw;
  }
}

Draft::~Draft() {
  if (left_) return;
  spare_.reset();
  try {
    const std::vector<DirectoryEntry> entries = list_directory(fd_.get());
    if (std::ranges::any_of(entries,
                            [](const auto& entry) { return entry.name == tree_note || entry.name == blob_note; }))
      take_orphans(core_, fd_.get());
    for (const DirectoryEntry& entry : list_directory(fd_.get()))
      if (entry.name != lock_name) remove_tree(fd_.get(), entry.name);
    // The lock goes last: as long as it is there and held, no sweep touches the directory.
    remove_empty();
  } catch (const std::exception&) {
    // What is left goes with the next sweep.
  }
}

/// By its path: there may be no descriptor left.
void Draft::remove_empty() const noexcept {
  (void)sys::unlinkat(core_.root_descriptor(), (place() + "/" + lock_name).c_str(), 0);
  (void)sys::unlinkat(core_.root_descriptor(), place().c_str(), AT_REMOVEDIR);
}

void Draft::sync() const {
  if (core_.durability() == Durability::none) return;
  if (sys::syncfs(fd_.get()) != 0) throw_errno(errno, "sync the draft", quoted(path().native()));
}

bool Draft::publish_whole(const std::string& to) {
  const int root = core_.root_descriptor();
  left_ = sys::renameat2(root, place().c_str(), root, to.c_str(), RENAME_NOREPLACE) == 0;
  if (!left_ && errno != EEXIST && errno != ENOTEMPTY) throw_errno(errno, "publish", quoted(to));
  return left_;
}

void Draft::take_whole(const std::string& from) {
  const int root = core_.root_descriptor();
  if (sys::renameat2(root, from.c_str(), root, place().c_str(), RENAME_NOREPLACE) != 0)
    throw_errno(errno, "remove", quoted(from));
  left_ = false;
}

std::pair<FileDescriptor, Lock> Draft::release() && { return {std::move(fd_), *std::move(lock_)}; }

bool Draft::publish(const std::string& name, const std::string& to) const {
  if (sys::renameat2(fd_.get(), name.c_str(), core_.root_descriptor(), to.c_str(), RENAME_NOREPLACE) == 0) return true;
  if (errno == EEXIST || errno == ENOTEMPTY) return false;
  throw_errno(errno, "publish", quoted(to));
}

void Draft::replace(const std::string& name, const std::string& to) const {
  if (sys::renameat2(fd_.get(), name.c_str(), core_.root_descriptor(), to.c_str(), 0) != 0)
    throw_errno(errno, "publish", quoted(to));
}

void Draft::exchange(const std::string& name, const std::string& to) const {
  if (sys::renameat2(fd_.get(), name.c_str(), core_.root_descriptor(), to.c_str(), RENAME_EXCHANGE) != 0)
    throw_errno(errno, "replace", quoted(to));
}

void Draft::put_back(const std::string& name, const std::string& to) const noexcept {
  (void)sys::renameat2(fd_.get(), name.c_str(), core_.root_descriptor(), to.c_str(), RENAME_NOREPLACE);
}

void Draft::take(const std::string& from, const std::string& name) const {
  if (sys::renameat2(core_.root_descriptor(), from.c_str(), fd_.get(), name.c_str(), RENAME_NOREPLACE) != 0 &&
      errno != ENOENT)
    throw_errno(errno, "remove", quoted(from));
}

void Draft::need(const Digest& layer) const {
  const Lock references = core_.lock(Lock::Kind::shared);
  core_.get(layer);
  note_need(layer);
}

void Draft::note_need(const Digest& layer) const {
  write_small_file(fd_.get(), std::string(need_prefix) + layer.to_string(), "");
}

void Draft::need_instead(const std::optional<Digest>& below, const Digest& layer) const {
  const auto name_of = [](const Digest& id) { return std::string(need_prefix) + id.to_string(); };
  if (!below || sys::renameat2(fd_.get(), name_of(*below).c_str(), fd_.get(), name_of(layer).c_str(), 0) != 0)
    note_need(layer);
}

bool Draft::is_empty() const {
  return std::ranges::all_of(list_directory(fd_.get()), [](const auto& entry) { return entry.name == lock_name; });
}

void Draft::note_orphan(const Digest& key) const { write_note(fd_.get(), tree_note, key.to_string()); }
void Draft::note_orphan_blob(const Digest& blob) const { write_note(fd_.get(), blob_note, blob.to_string()); }

void Draft::sync_notes() const {
  if (core_.durability() == Durability::none) return;
  for (const char* note : {tree_note, blob_note})
    if (try_stat(fd_.get(), note)) sync_note(fd_.get(), note);
  sync_directory(fd_.get(), place());
  sync_directory(open_directory(core_.root() / "staging").get(), "staging");
}

void Draft::drop_notes() const {
  for (const char* note : {tree_note, blob_note}) (void)sys::unlinkat(fd_.get(), note, 0);
}

DraftHandle SpareDrafts::take(const StoreCore& core) {
  const std::lock_guard hold(mutex_);
  if (drafts_.empty()) return DraftHandle(new Draft(core), {this});
  DraftHandle draft(drafts_.back().release(), {this});
  drafts_.pop_back();
  return draft;
}

void DraftReturn::operator()(Draft* draft) const noexcept {
  std::unique_ptr<Draft> owned(draft);
  try {
    if (!to || !owned->is_empty()) return;
    const std::lock_guard hold(to->mutex_);
    to->drafts_.push_back(std::move(owned));
  } catch (const std::exception&) {
    // It goes as any other.
  }
}

namespace {

/// Opens a draft; an empty descriptor where it is gone, or none. Sets `lock` where its writer is dead, or has done
/// with it.
FileDescriptor open_draft(int staging, const std::string& name, std::optional<Lock>& lock) {
  FileDescriptor dir(sys::openat(staging, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!dir && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) throw_errno(errno, "open the draft", quoted(name));
  if (dir) lock = Lock::attempt(dir.get(), lock_name, Lock::Kind::exclusive);
  return dir;
}

bool sweep_draft(const StoreCore& core, int staging, const std::string& name) {
  std::optional<Lock> lock;
  const FileDescriptor dir = open_draft(staging, name, lock);
  if (!lock) return false;
  take_orphans(core, dir.get());
  remove_tree(staging, name);
  return true;
}

/// Calls visit(STAGING, NAME) for each draft that is still there.
template <class Visit>
void for_each_draft(const StoreCore& core, const Visit& visit) {
  const FileDescriptor staging = open_directory(core.root() / "staging");
  for (const DirectoryEntry& entry : list_directory(staging.get())) {
    try {
      visit(staging.get(), entry.name);
    } catch (const Error& error) {
      if (error.code() != errc::not_found) throw;
    }
  }
}

}  // namespace

std::vector<std::string> sweep_drafts(const StoreCore& core) {
  std::vector<std::string> swept;
  // Without it, a draft that has only just been made would look like a dead one's.
  if (const auto only = Lock::attempt(core.root_descriptor(), "staging.lock", Lock::Kind::exclusive))
    for_each_draft(core, [&](int staging, const std::string& name) {
      try {
        if (sweep_draft(core, staging, name)) swept.push_back(name);
      } catch (const Error&) {
        // It can't be removed, which is no concern of this caller.
      }
    });
  return swept;
}

std::vector<std::string> dead_drafts(const StoreCore& core) {
  std::vector<std::string> dead;
  if (const auto only = Lock::attempt(core.root_descriptor(), "staging.lock", Lock::Kind::exclusive))
    for_each_draft(core, [&](int staging, const std::string& name) {
      std::optional<Lock> lock;
      open_draft(staging, name, lock);
      if (lock) dead.push_back(name);
    });
  return dead;
}

std::vector<DraftNeeds> needs_of_drafts(const StoreCore& core) {
  std::vector<DraftNeeds> all;
  for_each_draft(core, [&](int staging, const std::string& name) {
    std::optional<Lock> lock;
    const FileDescriptor dir = open_draft(staging, name, lock);
    if (!dir || lock) return;
    DraftNeeds needs{name, {}, {}};
    for (const DirectoryEntry& entry : list_directory(dir.get()))
      if (entry.name.starts_with(need_prefix))
        if (auto id = Digest::try_parse(std::string_view(entry.name).substr(need_prefix.size())))
          needs.layers.push_back(*std::move(id));
    needs.tree = note_of(dir.get(), tree_note);
    all.push_back(std::move(needs));
  });
  return all;
}

}  // namespace strata::detail
