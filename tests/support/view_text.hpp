// What a MergedView shows, in the form of tree_text.hpp.
#pragma once

#include "support/tree_text.hpp"
#include "tree/merged_view.hpp"

namespace strata::test {

inline void add_view(TreeText& text, const strata::detail::MergedView& view,
                     const strata::detail::MergedView::Entry& entry, const std::string& shown) {
  const strata::detail::Metadata& metadata = entry.metadata;
  TreeLine line{shown,
                metadata.mode,
                metadata.uid,
                metadata.gid,
                metadata.size,
                metadata.mtime.seconds,
                metadata.mtime.nanoseconds,
                metadata.rdev,
                {},
                {},
                0,
                {metadata.device, metadata.inode}};
  for (const auto& [name, value] : view.xattrs(entry))
    if (name != "security.selinux") line.xattrs.emplace(name, value);
  if (metadata.is_symlink()) line.link = view.link_target(entry);
  detail::Metadata now;
  if (metadata.is_file()) line.content = sum_of_descriptor(view.open_data(entry, now).get());
  text.add(line);
  if (metadata.is_directory())
    for (const auto& [name, below] : view.list(entry)) add_view(text, view, below, shown + "/" + name);
}

inline std::string view_text(const strata::detail::MergedView& view) {
  TreeText text;
  add_view(text, view, view.root().value(), ".");
  return text.text();
}

}  // namespace strata::test
