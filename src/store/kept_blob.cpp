#include "store/kept_blob.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "base/resources.hpp"
#include "image/content_hash.hpp"
#include "tree/directory.hpp"

#include <memory>

namespace strata::detail {

namespace {

std::string room_of(const Digest& blob) { return "blobs/" + std::string(blob.algorithm()); }

/// Of a whole file, which the blob of this digest should be.
Digest digest_of(int file, const Digest& blob, const Control& control) {
  constexpr std::size_t block_size = 256U << 10;
  AnyHash hash = hash_like(blob);
  Progress progress{.phase = Progress::Phase::verifying};
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(block_size);
  for (;;) {
    if (control.stop.stop_requested()) throw_error(errc::cancelled, "verify the kept blob", blob.to_string());
    const ssize_t n = sys::pread(file, buffer.get(), block_size, static_cast<off_t>(progress.bytes));
    if (n < 0) throw_errno(errno, "read the kept blob", blob.to_string());
    if (n == 0) return hash.finish();
    hash.update({buffer.get(), static_cast<std::size_t>(n)});
    progress.bytes += static_cast<std::uint64_t>(n);
    if (control.observer) control.observer(progress);
  }
}

}  // namespace

bool is_blob_kept(const StoreCore& core, const Descriptor& blob) {
  const auto found = try_stat(core.root_descriptor(), core.blob_path(blob.digest));
  return found && found->is_file() && found->size == blob.size;
}

FileDescriptor open_kept_blob(const StoreCore& core, const Digest& blob) {
  return try_open_beneath(core.root_descriptor(), core.blob_path(blob), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
}

KeptBlob check_kept_blob(const StoreCore& core, const Descriptor& blob, const VerifyOptions& options) {
  using State = KeptBlob::State;
  KeptBlob result;
  try {
    const auto there = try_stat(core.root_descriptor(), core.blob_path(blob.digest));
    if (!there) return result;
    if (!there->is_file()) return {.state = State::wrong, .what = "it is no file"};
    result.file = open_kept_blob(core, blob.digest);
    if (!result.file) return {};
    const std::uint64_t size = stat_of(result.file.get()).size;
    const std::string other_size =
        size == blob.size ? "" : "it has " + std::to_string(size) + " bytes instead of " + std::to_string(blob.size);
    if (options.level == VerifyLevel::quick) {
      result.state = other_size.empty() ? State::right : State::wrong;
      result.what = other_size;
      return result;
    }
    const Digest digest = digest_of(result.file.get(), blob.digest, options.control);
    if (digest != blob.digest) {
      result.state = State::wrong;
      result.what = other_size.empty() ? "its digest is " + digest.to_string() : other_size;
    } else {
      result.state = other_size.empty() ? State::right : State::misnamed;
      result.what = other_size.empty() ? "" : "it is whole, but " + other_size + ", which the manifest says";
    }
  } catch (const Error& error) {
    if (error.code() == errc::cancelled || is_shortage(error.code())) throw;
    result.state = State::unreadable;
    result.what = error.what();
  }
  return result;
}

void make_blob_rooms(const StoreCore& core, const Digest& blob) {
  make_directory(core.root_descriptor(), "blobs");
  make_directory(core.root_descriptor(), room_of(blob));
}

void sync_blob_room(const StoreCore& core, const Digest& blob) {
  const std::string room = room_of(blob);
  core.sync(open_beneath(core.root_descriptor(), room, O_RDONLY | O_DIRECTORY).get(), room);
}

}  // namespace strata::detail
