#include "tree/forms/form.hpp"

#include <strata/error.hpp>

#include "tree/forms/families.hpp"

#include <dirent.h>

#include <algorithm>

namespace strata::detail {

std::vector<DirectoryEntry> LayerForm::list(int dir, const std::string&, std::string_view shown) const {
  return list_directory(dir, shown);
}

std::shared_ptr<LayerForm> layer_form(UnionForm form, int root) {
  switch (form) {
    case UnionForm::fuse_overlayfs:
      return fuse_overlayfs_form(root);
    case UnionForm::aufs:
      return aufs_form();
    case UnionForm::unionfs_fuse:
      return unionfs_fuse_form(root);
    default:
      return overlay_form(form, root);
  }
}

bool exists_beneath(int dir, const std::string& path, std::string_view shown) {
  return static_cast<bool>(try_open_beneath(dir, path, O_PATH | O_NOFOLLOW, shown));
}

int write_empty_file(int dir, const std::string& name, mode_t mode) {
  const FileDescriptor file(sys::openat(dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
  return file ? 0 : -1;
}

void sort_names(std::vector<DirectoryEntry>& names) {
  std::ranges::sort(names, {}, &DirectoryEntry::name);
  const auto same = [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name == b.name; };
  names.erase(std::unique(names.begin(), names.end(), same), names.end());
}

std::string whiteout_name(std::string_view name) { return std::string(whiteout_prefix).append(name); }

std::vector<DirectoryEntry> with_hidden_names(std::vector<DirectoryEntry> listed) {
  std::vector<DirectoryEntry> names;
  names.reserve(listed.size());
  for (DirectoryEntry& entry : listed) {
    if (!entry.name.starts_with(whiteout_prefix)) {
      names.push_back(std::move(entry));
    } else if (std::string hidden = entry.name.substr(whiteout_prefix.size());
               !hidden.empty() && !hidden.starts_with(whiteout_prefix) && hidden != "." && hidden != "..") {
      names.push_back({std::move(hidden), DT_UNKNOWN, 0});
    }
  }
  sort_names(names);
  return names;
}

std::string objection_to_whiteout_name(std::string_view name) {
  if (!name.starts_with(whiteout_prefix)) return {};
  return "there, a name that begins with " + quoted(whiteout_prefix) + " is a deletion";
}

std::string objection_to_whiteout_device(const Metadata& metadata) {
  return metadata.is_whiteout() ? "there, a device 0:0 is a deletion" : "";
}

}  // namespace strata::detail
