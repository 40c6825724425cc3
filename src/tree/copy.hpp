// Copying files with everything that belongs to them.
#pragma once

#include "tree/attributes.hpp"
#include "tree/merged_view.hpp"

#include <strata/id_map.hpp>
#include <strata/progress.hpp>

#include <cstdint>
#include <functional>
#include <string>

namespace strata::detail {

/// Copies `size` bytes of content between regular files, sharing blocks where the filesystem can, leaving holes as
/// holes. `to` is empty and open for writing. Throws Error that shows `path`; a file that is shorter than `size` is
/// errc::damaged.
void copy_content(int from, int to, std::uint64_t size, const std::string& path);

/// Whether files in this directory can share blocks. Tries it with two nameless files.
bool can_share_blocks(int directory);

/// Creates `name` in the directory `to` as a copy of a file of a view that is no directory: type and content of the
/// file, these attributes.
void copy_file(const MergedView& view, const MergedView::Entry& entry, const Attributes& attributes, int to,
               const std::string& name, const ObjectSetter& setter);

/// Copies everything that a view shows into the empty directory `to`, hardlinks kept, its ids mapped to those of the
/// host. The root gets `root`'s attributes, mapped likewise.
void copy_view(const MergedView& view, int to, Attributes root, const IdMap& ids, const ObjectSetter& setter,
               const Control& control);

}  // namespace strata::detail
