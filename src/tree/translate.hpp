// A tree in one union form, made anew in another.
#pragma once

#include <strata/progress.hpp>
#include <strata/whiteout.hpp>

#include <boost/filesystem/path.hpp>

namespace strata::detail {

/// Makes of the tree `from`, in the form `form`, one in the form `to_form` in the empty directory `to`: directories
/// anew with all their attributes, files as further names of the same ones where both are on one filesystem, else as
/// copies (hardlinks among them kept), marks as the other form has them. A mark that hides nothing, since its directory
/// is in an opaque one, is left out, and so is what a form's program keeps beside its marks (docs/format.md, "Union
/// forms").
///
/// Throws errc::unsupported that names what the other form can't say, or would take for a mark: a name, a device 0:0,
/// an attribute, a redirect; a deletion in a directory that the tree itself lacks (unionfs-fuse). `to` may hold a part
/// of it then. `from` must not change meanwhile.
void translate_tree(const boost::filesystem::path& from, UnionForm form, const boost::filesystem::path& to,
                    UnionForm to_form, const Control& control = {});

}  // namespace strata::detail
