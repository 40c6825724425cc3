// A container: a named upper and work directory on top of a chain. What containers/NAME/container.json records.
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>
#include <strata/mount_plan.hpp>

#include <boost/filesystem/path.hpp>

#include <optional>
#include <string>

namespace strata {

/// A value; the directories are the truth. A container that can be written has upper() and work(); a read-only one has
/// `root` in their place, an empty directory that gives the merged root its attributes. A whole one has all three, and
/// is what upper() holds once that is there; until then nothing was ever changed in it.
struct Container {
  std::string name;  ///< [A-Za-z0-9][A-Za-z0-9_.-]*, at most 200 bytes
  Digest layer;      ///< top of the chain
  bool read_only = false;
  std::string created;  ///< RFC 3339, UTC
  std::string backend;  ///< "overlay"
  /// What marks in upper() mean, where that isn't what they mean in the store's trees.
  std::optional<UnionForm> form;
  std::optional<Digest> image;        ///< whose manifest has this digest, if it was made for one
  bool whole = false;                 ///< upper() holds all that the container shows, not only what was changed
  OverlayOptions options;             ///< as asked for
  boost::filesystem::path directory;  ///< ROOT/containers/NAME
  boost::filesystem::path target;     ///< where it is, or was last, mounted

  boost::filesystem::path upper() const { return directory / "upper"; }
  boost::filesystem::path work() const { return directory / "work"; }
};

/// Throws errc::bad_argument that shows the name and says what a name is.
STRATA_API void check_container_name(std::string_view name);
STRATA_API std::string to_json(const Container& container);
/// `directory` is where the text was read. Throws errc::damaged.
STRATA_API Container container_from_json(std::string_view text, boost::filesystem::path directory);

}  // namespace strata
