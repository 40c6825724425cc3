// The form in which a backend is given a store's layers.
#pragma once

#include <strata/whiteout.hpp>

#include "mount/host.hpp"

#include <functional>
#include <optional>

namespace strata::detail {

/// The store's own form, where the backend reads it, else one into which trees are translated; nullopt: there is none.
inline std::optional<UnionForm> readable_form(const std::function<bool(UnionForm)>& reads, UnionForm store_form) {
  if (reads(store_form)) return store_form;
  if (!sees_marks(store_form)) return std::nullopt;  // a translation would leave out what isn't seen
  // The kernel's forms are no way out for each other: who can't read one may not write the other.
  for (const UnionForm form : {UnionForm::fuse_overlayfs, UnionForm::aufs, UnionForm::unionfs_fuse})
    if (reads(form)) return form;
  return std::nullopt;
}

}  // namespace strata::detail
