#include <strata/error.hpp>
#include <strata/whiteout.hpp>

#include "sys.hpp"

namespace strata {

std::string_view to_string(UnionForm form) noexcept {
  return form == UnionForm::overlay_trusted ? "overlay-trusted" : "overlay-user";
}

UnionForm union_form_by_name(std::string_view name) {
  for (const UnionForm form : {UnionForm::overlay_trusted, UnionForm::overlay_user})
    if (name == to_string(form)) return form;
  throw_error(errc::bad_argument, "use the union form", quoted(name), "known are overlay-trusted and overlay-user");
}

std::string_view overlay_prefix(UnionForm form) noexcept {
  return form == UnionForm::overlay_trusted ? "trusted.overlay." : "user.overlay.";
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
