// Garbage collection: removing what nothing needs.
//
//   const auto found = store.gc({.dry_run = true});
//   std::cout << found.layers.size() << " layers, " << found.exclusive_bytes << " bytes\n";
#pragma once

#include <strata/digest.hpp>
#include <strata/progress.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace strata {

struct GcOptions {
  bool dry_run = false;  ///< remove nothing, and say what would be
  /// Younger layers stay: who has imported one may be about to use it. A layer's age counts from its import, or from
  /// the last one that found it stored.
  std::chrono::seconds min_age = std::chrono::hours(1);
  /// Cancelling leaves what is taken out of the store already, and not deleted yet, to the next sweep.
  Control control = {};
};

/// What gc() has removed, or would remove.
struct GcResult {
  std::vector<Digest> images;          ///< by the digests of their manifests
  std::vector<Digest> layers;          ///< each after those that stand on it
  std::vector<Digest> trees;           ///< by key; also some that no layer had
  std::vector<Digest> blobs;           ///< that were kept, by digest
  std::vector<std::string> leases;     ///< that had expired, or whose process had ended
  std::vector<std::string> drafts;     ///< that dead writers had left in staging/
  std::vector<std::string> downloads;  ///< of blobs, that broke off
  /// Layers and images whose record can't be read. While there is one, only leases, drafts and downloads are removed:
  /// it may need anything.
  std::vector<Digest> unreadable;
  std::uint64_t exclusive_bytes = 0;  ///< on the disk, that this frees: blocks of inodes with no other name
  std::uint64_t shared_bytes = 0;     ///< of inodes that have names elsewhere too, and stay
  std::uint64_t files = 0;            ///< inodes of any kind that this frees
};

/// Something that a process which is gone has left in the store.
struct Leftover {
  enum class Kind { draft, lease, tree, blob, download };
  Kind kind;
  std::string name;  ///< of the draft or lease; a tree's key; the digest of a blob, or of one that was to be downloaded
};

}  // namespace strata
