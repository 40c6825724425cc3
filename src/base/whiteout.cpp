#include <strata/error.hpp>
#include <strata/whiteout.hpp>

#include "sys.hpp"

#include <string>

namespace strata {

std::string_view to_string(UnionForm form) noexcept {
  switch (form) {
    case UnionForm::overlay_trusted:
      return "overlay-trusted";
    case UnionForm::overlay_user:
      return "overlay-user";
    case UnionForm::overlay_xattr_trusted:
      return "overlay-xattr-trusted";
    case UnionForm::overlay_xattr_user:
      return "overlay-xattr-user";
    case UnionForm::fuse_overlayfs:
      return "fuse-overlayfs";
    case UnionForm::aufs:
      return "aufs";
    case UnionForm::unionfs_fuse:
      return "unionfs-fuse";
  }
  return {};
}

UnionForm union_form_by_name(std::string_view name) {
  std::string known;
  for (const UnionForm form : all_union_forms) {
    if (name == to_string(form)) return form;
    known.append(known.empty() ? "" : ", ").append(to_string(form));
  }
  throw_error(errc::bad_argument, "use the union form", quoted(name), "known are " + known);
}

std::string_view overlay_prefix(UnionForm form) noexcept {
  switch (form) {
    case UnionForm::overlay_trusted:
    case UnionForm::overlay_xattr_trusted:
      return "trusted.overlay.";
    case UnionForm::overlay_user:
    case UnionForm::overlay_xattr_user:
      return "user.overlay.";
    default:
      return {};
  }
}

UnionForm best_union_form(int directory) {
  // Replacing what isn't there writes nothing: the kernel checks the right to write trusted.* first (fs/xattr.c,
  // xattr_permission), then says ENODATA.
  const int result = sys::fsetxattr(directory, "trusted.overlay.strata-probe", "", 0, XATTR_REPLACE);
  if (result == 0 || errno == ENODATA) return UnionForm::overlay_trusted;
  if (errno == EPERM || errno == EACCES || errno == EOPNOTSUPP || errno == ENOSYS) return UnionForm::overlay_user;
  throw_errno(errno, "try whether attributes trusted.* can be set on", "the directory");
}

}  // namespace strata
