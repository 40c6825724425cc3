// How a deletion is written: in a layer tar, by name (OCI image spec, layer.md, "Whiteouts"), and on disk, in the form
// that a union mount reads.
#pragma once

#include <strata/export.hpp>

#include <string_view>

namespace strata {

/// In a layer tar: ".wh.NAME" hides NAME below; the directory that holds ".wh..wh..opq" hides all that is below it.
inline constexpr std::string_view whiteout_prefix = ".wh.";
inline constexpr std::string_view opaque_name = ".wh..wh..opq";

/// On disk. In both forms a whiteout is a character device 0:0, and an opaque directory has an attribute "opaque" of
/// value "y"; they differ in its namespace (kernel documentation, filesystems/overlayfs.rst).
enum class UnionForm {
  overlay_trusted,  ///< trusted.overlay.*: what root's mounts read. Needs CAP_SYS_ADMIN in the first user namespace
  overlay_user,     ///< user.overlay.*: what mounts with `userxattr` read (Linux 5.11)
};

/// "overlay-trusted", "overlay-user": as a store records it.
STRATA_API std::string_view to_string(UnionForm form) noexcept;
/// Throws errc::bad_argument.
STRATA_API UnionForm union_form_by_name(std::string_view name);
/// "trusted.overlay." or "user.overlay."
STRATA_API std::string_view overlay_prefix(UnionForm form) noexcept;
/// The form that this process can write: overlay_trusted where it may set trusted.* attributes in `directory`, else
/// overlay_user. Writes nothing.
STRATA_API UnionForm best_union_form(int directory);

}  // namespace strata
