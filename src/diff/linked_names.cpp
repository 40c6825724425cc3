#include "diff/linked_names.hpp"

#include "diff/changes.hpp"

#include <strata/error.hpp>

#include "diff/sys_handle.hpp"

#include <dirent.h>

#include <algorithm>
#include <set>

namespace strata::detail {
namespace {

using Inode = std::pair<dev_t, ino_t>;

Inode inode_of(const MergedView::Entry& entry) { return {entry.metadata.device, entry.metadata.inode}; }

bool has_several_links(const MergedView::Entry& entry) {
  return !entry.metadata.is_directory() && entry.metadata.links > 1;
}

/// The filesystem's handle of a lower file, as overlay.origin holds it (struct ovl_fb in fs/overlayfs/overlayfs.h):
/// type, bytes. Empty where the filesystem has none.
std::string handle_of(const MergedView& view, const MergedView::Place& place) {
  constexpr unsigned most = MAX_HANDLE_SZ;
  alignas(file_handle) char memory[sizeof(file_handle) + most];
  auto* handle = reinterpret_cast<file_handle*>(memory);
  handle->handle_bytes = most;
  const FileDescriptor fd = try_open_beneath(view.root_descriptor(place.layer), place.path, O_PATH | O_NOFOLLOW, {});
  int mount_id = 0;
  if (!fd || sys::name_to_handle_at(fd.get(), "", handle, &mount_id, AT_EMPTY_PATH) != 0) return {};
  return static_cast<char>(handle->handle_type) +
         std::string(reinterpret_cast<const char*>(handle->f_handle), handle->handle_bytes);
}

/// The same from the value of overlay.origin: version, magic, length, flags, type, a UUID of 16 bytes, and the handle.
std::string handle_in(const std::string& origin) {
  constexpr std::size_t type_at = 4, handle_at = 21;
  return origin.size() <= handle_at ? std::string() : origin[type_at] + origin.substr(handle_at);
}

/// Handles of lower files in the index, to its names: each is the origin's bytes in hexadecimal (ovl_get_index_name).
/// What else is there (whiteouts and, under nfs_export, directories) has no lower file with several names.
std::map<std::string, std::string> indexed_handles(const MergedView& index) {
  std::map<std::string, std::string> handles;
  if (index.empty()) return handles;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (const DirectoryEntry& listed : list_directory(index.root_descriptor(0), "index")) {
    const std::string& name = listed.name;
    if (name.size() % 2 != 0 || name.find_first_not_of("0123456789abcdef") != std::string::npos) continue;
    std::string origin;
    for (std::size_t i = 0; i < name.size(); i += 2)
      origin += static_cast<char>(digit(name[i]) * 16 + digit(name[i + 1]));
    if (std::string handle = handle_in(origin); !handle.empty()) handles.emplace(std::move(handle), name);
  }
  return handles;
}

/// What the topmost directory of a view alone says about files that may have names outside it.
struct UpperMarks {
  std::map<std::string, std::string> copied;  ///< handle of a lower file with several names, to a name of its copy
  bool redirects = false;

  UpperMarks(const MergedView& merged, const std::stop_token& stop) {
    std::vector<std::string> pending{""};
    while (!pending.empty()) {
      if (stop.stop_requested()) throw_error(errc::cancelled, "look for", "hardlinks");
      const std::string directory = std::move(pending.back());
      pending.pop_back();
      look_through(merged, directory, pending);
    }
  }

 private:
  /// The kernel says of most names what they are, and of a directory once it is open whether it was renamed: that takes
  /// the fewest calls.
  void look_through(const MergedView& merged, const std::string& path, std::vector<std::string>& pending) {
    const auto entry_at = [](const Metadata& metadata, const std::string& at) {
      const MergedView::Place place{0, at};
      return MergedView::Entry{metadata, {place}, place, false};
    };
    const FileDescriptor dir =
        try_open_beneath(merged.root_descriptor(0), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, path);
    if (!dir) return;
    redirects = redirects || merged.mark(dir.get(), "redirect");
    for (const DirectoryEntry& listed : list_directory(dir.get(), path)) {
      std::string below = path.empty() ? listed.name : path + '/' + listed.name;
      if (listed.type == DT_DIR) {
        pending.push_back(std::move(below));
        continue;
      }
      const auto metadata = try_stat(dir.get(), listed.name, path);
      if (!metadata || metadata->is_whiteout()) continue;
      if (metadata->is_directory()) {
        pending.push_back(std::move(below));
      } else if (const MergedView::Entry entry = entry_at(*metadata, below);
                 has_several_links(entry) && merged.mark(entry, "nlink")) {
        if (const auto origin = merged.mark(entry, "origin")) copied.emplace(handle_in(*origin), std::move(below));
      }
    }
  }
};

}  // namespace

void visit_all(const MergedView& view, const std::stop_token& stop,
               const std::function<void(const std::string&, const MergedView::Entry&)>& visit) {
  std::vector<std::pair<std::string, MergedView::Entry>> pending;
  if (auto root = view.root()) pending.emplace_back("", std::move(*root));
  while (!pending.empty()) {
    if (stop.stop_requested()) throw_error(errc::cancelled, "look for", "hardlinks");
    const auto [path, directory] = std::move(pending.back());
    pending.pop_back();
    for (auto& [name, entry] : view.list(directory)) {
      std::string below = path.empty() ? name : path + '/' + name;
      visit(below, entry);
      if (entry.metadata.is_directory()) pending.emplace_back(std::move(below), std::move(entry));
    }
  }
}

std::optional<boost::filesystem::path> index_of(const boost::filesystem::path& work) {
  const boost::filesystem::path index = work / "index";
  const auto there = try_stat(AT_FDCWD, index.native());
  return there && there->is_directory() ? std::optional(index) : std::nullopt;
}

const std::vector<std::string>& LinkGroups::names(const std::string& path, const MergedView::Entry& entry) {
  if (has_several_links(entry)) {
    if (!groups_) {
      groups_.emplace();
      visit_all(view_, stop_, [this](const std::string& at, const MergedView::Entry& found) {
        if (has_several_links(found)) (*groups_)[inode_of(found)].push_back(at);
      });
      for (auto& [inode, names] : *groups_) std::sort(names.begin(), names.end());
    }
    if (const auto group = groups_->find(inode_of(entry)); group != groups_->end()) return group->second;
  }
  alone_.assign(1, path);
  return alone_;
}

std::map<std::string, OutsideName> outside_names(const MergedView& merged, const MergedView& lower,
                                                 const MergedView& index, const std::stop_token& stop) {
  std::map<std::string, OutsideName> outside;
  const UpperMarks marks(merged, stop);
  const std::map<std::string, std::string> indexed = indexed_handles(index);
  if (marks.copied.empty() && indexed.empty() && !marks.redirects) return outside;

  const auto copy_of = [&](const MergedView::Place& place, nlink_t lower_links) -> std::optional<OutsideName> {
    if (marks.copied.empty() && indexed.empty()) return std::nullopt;
    const std::string handle = handle_of(merged, place);
    if (const auto copy = marks.copied.find(handle); copy != marks.copied.end())
      if (auto entry = merged.find(copy->second)) return OutsideName{&merged, std::move(*entry)};
    if (const auto copy = indexed.find(handle); copy != indexed.end())
      if (auto entry = index.find(copy->second)) {
        // On disk its one name is that in the index; here it has all that the lower file still has.
        entry->metadata.links = lower_links;
        return OutsideName{&index, std::move(*entry)};
      }
    return std::nullopt;
  };
  struct Group {
    std::vector<std::pair<std::string, MergedView::Entry>> in_place;
    bool moved = false;
  };
  std::map<Inode, Group> groups;
  visit_all(merged, stop, [&](const std::string& path, const MergedView::Entry& entry) {
    if (!has_several_links(entry) || entry.top().layer == 0) return;
    if (auto copy = copy_of(entry.top(), entry.metadata.links)) {
      outside.emplace(path, std::move(*copy));
      return;
    }
    Group& group = groups[inode_of(entry)];
    const auto below = lower.find(path);
    if (below && inode_of(*below) == inode_of(entry))
      group.in_place.emplace_back(path, entry);
    else
      group.moved = true;
  });
  for (auto& [inode, group] : groups)
    if (group.moved)
      for (auto& [path, entry] : group.in_place) outside.emplace(path, OutsideName{&merged, std::move(entry)});
  return outside;
}

}  // namespace strata::detail
