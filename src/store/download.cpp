#include "store/download.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <ctime>
#include <thread>
#include <utility>

namespace strata::detail {

namespace {

FileDescriptor open_room(const StoreCore& core) {
  return try_open_beneath(core.root_descriptor(), "downloads", O_RDONLY | O_DIRECTORY);
}

}  // namespace

std::string Download::name() const { return std::string(blob_.digest.algorithm()) + "-" + blob_.digest.hex(); }
std::string Download::path() const { return "downloads/" + name(); }

Download Download::open(const StoreCore& core, const Descriptor& blob, const std::stop_token& stop) {
  using namespace std::chrono_literals;
  make_directory(core.root_descriptor(), "downloads");
  for (auto pause = 1ms;; pause = std::min(2 * pause, 20ms)) {
    if (stop.stop_requested()) throw_error(errc::cancelled, "wait for another transfer of", blob.digest.to_string());
    Download file(core, blob, {});
    const std::string path = file.path();
    file.fd_.reset(sys::openat(core.root_descriptor(), path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0600));
    if (!file.fd_) throw_errno(errno, "open", quoted(path));
    const bool locked = Lock::attempt_on(file.fd_.get(), path, Lock::Kind::exclusive) ||
                        (Lock::attempt_on(file.fd_.get(), path, Lock::Kind::shared) && file.is_complete());
    // It may have been renamed or removed since it was opened: then there is another of the name.
    if (locked && core.is_at(path, file.fd_.get())) return file;
    file.fd_.reset();
    std::this_thread::sleep_for(pause);
  }
}

std::uint64_t Download::left_of(const StoreCore& core, const Descriptor& blob) {
  const auto found = try_stat(core.root_descriptor(), Download(core, blob, {}).path());
  return found ? found->size : 0;
}

std::uint64_t Download::size() const { return stat_of(fd_.get()).size; }

void Download::complete() const { (void)Lock::attempt_on(fd_.get(), path(), Lock::Kind::shared); }

void Download::append(std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = sys::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0) throw_errno(errno, "write", quoted(path()));
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

std::size_t Download::read_at(std::uint64_t offset, std::span<std::byte> into) const {
  const ssize_t n = sys::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(offset));
  if (n < 0) throw_errno(errno, "read", quoted(path()));
  return static_cast<std::size_t>(n);
}

void Download::drop() const {
  if (core_->is_at(path(), fd_.get()) && sys::unlinkat(core_->root_descriptor(), path().c_str(), 0) != 0 &&
      errno != ENOENT)
    throw_errno(errno, "remove", quoted(path()));
}

/// Let go of first: of several that hold it at the end, none could have it alone.
void Download::release() {
  fd_.reset();
  (void)remove_download(*core_, name());
}

void Download::sync() const {
  if (core_->durability() == Durability::full && sys::fsync(fd_.get()) != 0) throw_errno(errno, "sync", quoted(path()));
}

bool Download::keep() const {
  const int root = core_->root_descriptor();
  if (!core_->is_at(path(), fd_.get())) return false;
  if (sys::renameat2(root, path().c_str(), root, core_->blob_path(blob_.digest).c_str(), 0) == 0) return true;
  if (errno == ENOENT) return false;  // another has just done it
  throw_errno(errno, "keep the blob", blob_.digest.to_string());
}

std::vector<std::string> broken_downloads(const StoreCore& core, std::chrono::seconds min_age) {
  std::vector<std::string> names;
  const FileDescriptor room = open_room(core);
  if (!room) return names;
  for (const DirectoryEntry& entry : list_directory(room.get(), "downloads")) {
    const auto found = try_stat(room.get(), entry.name);
    if (!found || (min_age.count() > 0 && found->mtime.seconds > std::time(nullptr) - min_age.count())) continue;
    const FileDescriptor fd(sys::openat(room.get(), entry.name.c_str(), O_RDWR | O_NOFOLLOW));
    if (fd && Lock::attempt_on(fd.get(), entry.name, Lock::Kind::exclusive)) names.push_back(entry.name);
  }
  return names;
}

bool remove_download(const StoreCore& core, const std::string& name) {
  const std::string path = "downloads/" + name;
  const FileDescriptor fd(sys::openat(core.root_descriptor(), path.c_str(), O_RDWR | O_NOFOLLOW));
  if (!fd || !Lock::attempt_on(fd.get(), path, Lock::Kind::exclusive) || !core.is_at(path, fd.get())) return false;
  if (sys::unlinkat(core.root_descriptor(), path.c_str(), 0) == 0) return true;
  throw_errno(errno, "remove", quoted(path));
}

}  // namespace strata::detail
