// A plan: the validated input of a mount. Never an option string: every overlay option is a typed field, and a
// combination that the kernel would refuse (or, worse, quietly change) is refused here by the options' names.
#pragma once

#include <strata/digest.hpp>
#include <strata/export.hpp>
#include <strata/id_map.hpp>
#include <strata/progress.hpp>
#include <strata/whiteout.hpp>

#include <boost/filesystem/path.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strata {

/// Overlay's options, named as the kernel names them (filesystems/overlayfs.rst). Unset: the kernel's default, but for
/// `userxattr`, which follows the union form of the trees.
struct STRATA_API OverlayOptions {
  enum class RedirectDir { on, off, follow, nofollow };
  enum class Xino { on, off, automatic };
  enum class Uuid { on, off, null, automatic };
  enum class Verity { on, off, require };

  std::optional<RedirectDir> redirect_dir = {};
  std::optional<bool> index = {};
  std::optional<Xino> xino = {};
  std::optional<bool> metacopy = {};
  std::optional<bool> nfs_export = {};
  std::optional<Uuid> uuid = {};
  std::optional<Verity> verity = {};
  std::optional<bool> userxattr = {};
  bool is_volatile = false;  ///< `volatile`: no sync ever; the upper can't be used again after a crash

  /// Sets the field of that name from its text ("redirect_dir", "nofollow"; a flag takes "", "on" or "off"). Throws
  /// errc::bad_argument that names the option and lists what it takes.
  void set(std::string_view name, std::string_view value);
  /// The options that are set, as the kernel spells them, in a fixed order; a flag has an empty value.
  std::vector<std::pair<std::string, std::string>> spelled() const;
};

/// What to mount where. Paths are bytes: any of them may hold ':', ',', '\\', spaces and newlines.
struct STRATA_API MountPlan {
  std::vector<boost::filesystem::path> lowers;  ///< directories, topmost first
  bool trees = false;  ///< the lowers are trees of a store: they have no redirects and no metacopy files
  /// What names each lower with all that is below it, as far as they have names: the chain ids of a store's layers,
  /// topmost first, and as many of the last lowers. What a backend keeps of a chain goes by them. With them a directory
  /// may be there twice.
  std::vector<Digest> chain;
  /// Where a backend may keep what it has made of lowers, in a directory of its own; empty: nowhere.
  boost::filesystem::path kept;
  /// Below the lowers, topmost first: directories whose names aren't seen, and whose files are the content of those
  /// that the lowest lower, or with metacopy=on any, redirects to them. KernelOverlay alone has them (Linux 6.5;
  /// before 6.16 only with metacopy=on).
  std::vector<boost::filesystem::path> data_only;
  /// The owners that the lowers' have in the mount, whose ids the layers know as `container`, and the mount as `host`;
  /// others' belong to nobody, and can't be changed. KernelOverlay alone has it (Linux 6.13).
  IdMap ids;
  boost::filesystem::path upper;   ///< empty: read-only
  boost::filesystem::path work;    ///< with `upper`: an empty directory on the same mount
  boost::filesystem::path target;  ///< an existing directory
  bool read_only = false;
  bool durable = false;  ///< what a backend writes by itself is on the disk before it counts
  UnionForm form = UnionForm::overlay_trusted;
  OverlayOptions options;
  /// Of what a backend makes before it mounts: copies, snapshots, images. The mount itself takes no time.
  Control control = {};
  std::string source = "strata";  ///< what the mount table shows as the source

  /// Throws errc::refused that names the members or options in conflict and says what to change. Looks at no file.
  void validate() const;
  /// The same for a mount that isn't attached: one that has a target is refused.
  void validate_detached() const;
};

/// What a backend found about itself on this machine.
struct MountProbe {
  bool usable = false;
  std::string why;  ///< where it isn't: the reason, and what would help
  std::vector<std::pair<std::string, std::string>>
      features;  ///< name, what was found: "lowerdir+ by descriptor", "yes"
};

/// How a mount was made.
struct MountResult {
  std::string method;  ///< "fsopen, layers by descriptor", "fsopen, layers by name", "mount(2)"
};

/// A mounted filesystem, from the kernel's own table.
struct MountedEntry {
  std::uint64_t id = 0;
  std::string device;  ///< of its filesystem, "8:1"
  std::string root;    ///< the directory of its filesystem that it shows, "/" mostly
  boost::filesystem::path target;
  std::string type;  ///< "overlay"
  std::string source;
  std::string options;  ///< of the filesystem, as the table shows them
  bool read_only = false;
};

/// The mount table of this process's mount namespace, in order (/proc/self/mountinfo; lines of any length, names
/// unescaped). Throws Error.
STRATA_API std::vector<MountedEntry> mount_table();

}  // namespace strata
