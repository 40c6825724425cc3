// The record of a layer: what metadata.json holds, as a value.
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>
#include <strata/report.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace strata {

/// One layer: a tree on top of a parent. Immutable once stored. Its name is the chain id of the OCI image spec
/// (config.md, "Layer ChainID"): of a base layer the diff id, else the digest of "PARENT'S CHAIN ID, SPACE, DIFF ID".
struct Layer {
  Digest id;
  std::optional<Digest> parent;  ///< chain id of the parent
  std::vector<Digest> diff_ids;  ///< of the whole chain, base first; the last one is this layer's own
  std::uint64_t size = 0;        ///< content of the tree's regular files, bytes, each inode once
  std::uint64_t tar_size = 0;    ///< bytes of the layer tar
  std::uint64_t entries = 0;     ///< entries of the layer tar
  std::string created;           ///< RFC 3339, UTC
  std::string author;
  std::string comment;
  std::string media_type;       ///< of the blob as imported
  Digest blob;                  ///< digest of the blob as imported; of a commit, of its tar
  std::uint64_t blob_size = 0;  ///< bytes
  /// Keys of the trees of the whole chain in `trees/`, base first: the diff id, or, of a tree that was resolved against
  /// what is below it, a key of its own.
  std::vector<Digest> trees;
  /// Which of `trees` (by index, -1: none) gives the root directory its attributes: the topmost whose tar lists the
  /// root.
  int root_tree = -1;

  const Digest& diff_id() const { return diff_ids.back(); }
  const Digest& tree() const { return trees.back(); }
};

/// The chain id of `diff_id` on top of `parent`, by the algorithm of the diff id (sha256 or sha512).
STRATA_API Digest chain_id(const std::optional<Digest>& parent, const Digest& diff_id);

/// metadata.json, and back. layer_from_json throws errc::damaged that says which member is wrong; it ignores members
/// that it doesn't know.
STRATA_API std::string to_json(const Layer& layer);
STRATA_API Layer layer_from_json(std::string_view text);

}  // namespace strata
