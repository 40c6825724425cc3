// What verify() and repair() of layers, and of images, are asked, and what they answer.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/digest.hpp>
#include <strata/export.hpp>
#include <strata/progress.hpp>
#include <strata/report.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace strata {

/// How closely a layer is looked at; each level finds all that the one before it does.
enum class VerifyLevel {
  quick,    ///< what the directories say: names, types, sizes, modes, owners, times, attributes, links, marks. Reads no
            ///< file of the tree, so content that changed within its size goes unseen
  full,     ///< each content too, by its recorded checksum: finds all that is damaged by accident
  proving,  ///< the layer tar too, which is made again and must have the diff id: proof against intent as well
};

struct VerifyOptions {
  VerifyLevel level = VerifyLevel::full;
  Control control = {};  ///< progress counts bytes of content, and names of the tree
};

/// One thing that is wrong with a layer.
struct Damage {
  enum class Kind {
    content,     ///< other bytes than were stored
    size,        ///< cut, or longer
    missing,     ///< deleted
    added,       ///< nothing in the layer has put it there
    type,        ///< it has become something else: a directory a file, a whiteout anything
    mode,        ///< permission bits
    owner,       ///< user or group
    time,        ///< of last modification
    attribute,   ///< an extended attribute is gone, new, or another
    target,      ///< of a symlink
    device,      ///< device numbers
    link,        ///< names that were one file no longer are, or the other way round
    opaque,      ///< a directory no longer hides what is below it, or has come to
    record,      ///< what the store noted of the layer, or of its tree, can't be used or doesn't fit
    unreadable,  ///< this process could not look; the kernel's reason is in `what`
  };
  Kind kind = Kind::record;
  std::string path;  ///< in the tree; empty: its root, or the layer as a whole
  std::string what;  ///< a clause: "its mode is 0600 instead of 0644"
};
/// "content", "size", … as the enumerators are called.
STRATA_API std::string_view to_string(Damage::Kind kind) noexcept;

struct VerifyResult {
  Digest id;
  std::vector<Damage> damages;  ///< sorted by path
  bool ok() const noexcept { return damages.empty(); }
};

/// What is wrong with an image.
struct ImageVerifyResult {
  /// A layer's compressed bytes, kept beside its tree, that aren't what the manifest says.
  struct Blob {
    Digest digest;
    std::string what;  ///< a clause: "it has 17 bytes instead of 23"
  };
  Digest image;
  std::string record = {};                ///< what is wrong with its manifest, config or record; empty: nothing
  std::vector<VerifyResult> layers = {};  ///< base first; of one that isn't there, the damage is its record
  std::vector<Blob> blobs = {};
  STRATA_API bool ok() const noexcept;
};

struct RepairOptions {
  /// The layer once more, as it was imported or compressed otherwise: what the store itself doesn't have any more is
  /// taken from it. Read only where something is; unset: the store must do.
  ByteSource* source = nullptr;
  Owners owners = Owners::keep;  ///< for a tree that has to be made anew, as in ImportOptions
  Control control = {};
};

struct RepairResult {
  Digest id;
  std::vector<Damage> mended;  ///< what was wrong and is no more
  std::vector<Damage> left;    ///< what still is, with the reason and what would help
  bool rebuilt = false;        ///< the tree as a whole was made anew
  bool ok() const noexcept { return left.empty(); }
};

}  // namespace strata
