// How a deletion is written: in a layer tar, by name (OCI image spec, layer.md, "Whiteouts"), and on disk, in the form
// that a union mount reads.
#pragma once

#include <strata/export.hpp>

#include <array>
#include <string_view>

namespace strata {

/// In a layer tar: ".wh.NAME" hides NAME below; the directory that holds ".wh..wh..opq" hides all that is below it.
inline constexpr std::string_view whiteout_prefix = ".wh.";
inline constexpr std::string_view opaque_name = ".wh..wh..opq";

/// On disk: what a directory says as a layer of a union mount (docs/format.md, "Union forms"). Those of the kernel's
/// overlay differ in the namespace of its attributes (kernel documentation, filesystems/overlayfs.rst), and in what a
/// whiteout is: a character device 0:0, or, where no such device can be made, an empty file with the attribute
/// "whiteout".
enum class UnionForm {
  overlay_trusted,  ///< trusted.overlay.*: what root's mounts read. Needs CAP_SYS_ADMIN in the first user namespace
  overlay_user,     ///< user.overlay.*: what mounts with `userxattr` read (Linux 5.11)
  overlay_xattr_trusted,  ///< as overlay_trusted, but whiteouts are files with an attribute (Linux 6.7): lowers only
  overlay_xattr_user,     ///< the same of overlay_user
  fuse_overlayfs,         ///< what fuse-overlayfs reads and writes
  aufs,                   ///< ".wh.NAME", ".wh..wh..opq": AUFS, as a branch with `+wh`
  unionfs_fuse,           ///< ".unionfs-fuse/PATH_HIDDEN~": unionfs-fuse with `cow`. It shows no extended attributes
};
inline constexpr std::array all_union_forms = {UnionForm::overlay_trusted,       UnionForm::overlay_user,
                                               UnionForm::overlay_xattr_trusted, UnionForm::overlay_xattr_user,
                                               UnionForm::fuse_overlayfs,        UnionForm::aufs,
                                               UnionForm::unionfs_fuse};

/// "overlay-trusted", "overlay-user", "overlay-xattr-trusted", "overlay-xattr-user", "fuse-overlayfs", "aufs",
/// "unionfs-fuse": as it is recorded.
STRATA_API std::string_view to_string(UnionForm form) noexcept;
/// Throws errc::bad_argument.
STRATA_API UnionForm union_form_by_name(std::string_view name);
/// "trusted.overlay." or "user.overlay."; of a form that isn't the kernel's "".
STRATA_API std::string_view overlay_prefix(UnionForm form) noexcept;
/// The form that this process can write: overlay_trusted where it may set trusted.* attributes in `directory`, else
/// overlay_user. Writes nothing.
STRATA_API UnionForm best_union_form(int directory);

}  // namespace strata
