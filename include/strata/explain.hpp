// Why a path of a chain is what it is: what each layer has there, what hides what, and by which symlinks it is reached.
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

/// What LayerStoreBase::explain() found. Paths are relative to the root, with '/' between names; "" is the root.
struct Explanation {
  /// What is at a path. `device`: a device, a FIFO; `unmade`: one that the layer has, but that could not be created
  /// where its tree was made (docs/semantics.md, A19).
  enum class Kind { nothing, whiteout, directory, file, symlink, device, unmade };

  /// What takes out of sight what a layer has at the path.
  struct Cover {
    enum class Kind {
      whiteout,  ///< a whiteout of `path`
      opaque,    ///< the directory `path` hides all that lower layers have in it
      replaced,  ///< `path` is something else than a directory there, or than what is below
    };
    Kind kind;
    Digest layer;  ///< whose it is; the topmost that does it
    std::string path;
  };

  /// A layer of the chain.
  struct AtLayer {
    Digest layer;
    Kind has = Kind::nothing;    ///< in its own tree, hidden or not
    bool opaque = false;         ///< a directory that hides what lower layers have in it
    bool shown = false;          ///< it is what is seen, or one of the directories that are merged
    std::optional<Cover> cover;  ///< by what it is hidden; where `has` is nothing: would be
  };

  /// A symlink that was followed.
  struct Followed {
    std::string path;
    std::string target;
    Digest layer;
  };

  std::vector<Followed> followed;  ///< in the order in which the path leads through them
  std::string path;                ///< where it leads, followed inside the root
  Kind kind = Kind::nothing;       ///< of what is seen there; nothing: no layer has it, or what has it is hidden
  std::string target;              ///< of a symlink that the path ends with: it is not followed
  /// Topmost first. Of layers with the same tree, the topmost alone: what the tree does, it does from there.
  std::vector<AtLayer> layers;

  /// The layer that a file's content, a symlink's target or a device comes from. Of a directory, see `shown`.
  std::optional<Digest> content;
  /// The layer whose tar gives owner, mode, times and attributes: of a directory the topmost that has an entry for it.
  /// Unset for a directory that no tar of the chain lists, and where nothing is seen.
  std::optional<Digest> attributes;
  /// The other names that the same file has in that layer, sorted.
  std::vector<std::string> links;
};

/// "nothing", "whiteout", "directory", "file", "symlink", "device", "unmade"
STRATA_API std::string_view to_string(Explanation::Kind kind) noexcept;
/// "whiteout", "opaque", "replaced"
STRATA_API std::string_view to_string(Explanation::Cover::Kind kind) noexcept;

}  // namespace strata
