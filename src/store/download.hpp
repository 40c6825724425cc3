// downloads/ALGORITHM-HEX: a blob that is on its way, or whose transfer broke off: its bytes as they came, from the
// first on. Who adds to it has it locked, alone; nobody ever changes a byte that is there. Who needs a complete one has
// it locked, shared, so that gc() leaves it. It isn't synced until it becomes a kept blob, so after a power cut its
// bytes may be none that came; a digest is to say what they are.
#pragma once

#include <strata/file_descriptor.hpp>
#include <strata/image.hpp>

#include "store/core.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace strata::detail {

/// The file of one blob, open and locked.
class Download {
 public:
  /// Waits until nobody else adds to it. Throws errc::cancelled.
  static Download open(const StoreCore& core, const Descriptor& blob, const std::stop_token& stop);
  /// How many bytes of a blob are there, as far as that is to be had without waiting.
  static std::uint64_t left_of(const StoreCore& core, const Descriptor& blob);

  std::uint64_t size() const;
  /// All bytes are there, by their number; whoever else wants it, waits no longer.
  bool is_complete() const { return size() >= blob_.size; }
  void complete() const;
  void append(std::span<const std::byte> bytes) const;
  std::size_t read_at(std::uint64_t offset, std::span<std::byte> into) const;
  /// Takes its name away.
  void drop() const;
  /// Lets go of it, and takes its name away unless somebody else has it.
  void release();
  void sync() const;
  /// Makes it the kept blob. Its bytes are proven and synced; the store's lock is held shared. False: it has lost its
  /// name.
  bool keep() const;

 private:
  Download(const StoreCore& core, Descriptor blob, FileDescriptor fd)
      : core_(&core), blob_(std::move(blob)), fd_(std::move(fd)) {}
  std::string name() const;
  std::string path() const;

  const StoreCore* core_;
  Descriptor blob_;
  FileDescriptor fd_;
};

/// Those that nobody writes, and that are of this age, by name.
std::vector<std::string> broken_downloads(const StoreCore& core, std::chrono::seconds min_age);
/// False: somebody has taken it over, or removed it.
bool remove_download(const StoreCore& core, const std::string& name);

}  // namespace strata::detail
