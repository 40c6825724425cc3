// Where layer_form() finds the forms, and what they share.
#pragma once

#include "tree/forms/form.hpp"

#include <string>
#include <string_view>

namespace strata::detail {

std::shared_ptr<LayerForm> overlay_form(UnionForm form, int root);
std::shared_ptr<LayerForm> fuse_overlayfs_form(int root);
std::shared_ptr<LayerForm> aufs_form();
std::shared_ptr<LayerForm> unionfs_fuse_form(int root);

/// Whether there is anything at a path; nothing is followed.
bool exists_beneath(int dir, const std::string& path, std::string_view shown);
/// Makes an empty file. -1 and errno.
int write_empty_file(int dir, const std::string& name, mode_t mode);

/// Puts a listing in order, each name once.
void sort_names(std::vector<DirectoryEntry>& names);
/// ".wh.NAME", for the forms that know it.
std::string whiteout_name(std::string_view name);
/// Adds to a listing, sorted, the names that ".wh.NAME" in it hide, in the place of those.
std::vector<DirectoryEntry> with_hidden_names(std::vector<DirectoryEntry> listed);
/// Why no file can have such a name there.
std::string objection_to_whiteout_name(std::string_view name);
/// Why no file can be such a device there.
std::string objection_to_whiteout_device(const Metadata& metadata);

}  // namespace strata::detail
