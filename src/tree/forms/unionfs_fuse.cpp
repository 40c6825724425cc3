// unionfs-fuse (1.0) with `cow`. All marks are in ".unionfs-fuse" in the branch's root: PATH_HIDDEN~ there, of whatever
// type, hides PATH in the branches below; beside a directory PATH in the same branch, it makes that opaque. The branch
// need not have the directory of a name that it hides. It knows no other marks, and no extended attributes.
//
// A file doesn't stop the search for a directory of its name: it looks through it at what is further below. So a tree
// that is written gets PATH_HIDDEN~ for everything that is no directory.
#include "tree/forms/families.hpp"

#include <strata/error.hpp>

#include <dirent.h>

#include <algorithm>
#include <map>
#include <set>

namespace strata::detail {
namespace {

constexpr std::string_view meta_name = ".unionfs-fuse";
constexpr std::string_view tag = "_HIDDEN~";

std::string joined(std::string_view directory, std::string_view name) {
  return std::string(directory).append(directory.empty() ? "" : "/").append(name);
}

class UnionfsFuseForm final : public LayerForm {
 public:
  explicit UnionfsFuseForm(int root) : root_(root) {
    std::vector<std::string> pending{""};
    while (!pending.empty()) {
      const std::string path = std::move(pending.back());
      pending.pop_back();
      read_marks(path, pending);
    }
  }

  std::vector<DirectoryEntry> list(int dir, const std::string& path, std::string_view shown) const override {
    std::vector<DirectoryEntry> names;
    if (dir >= 0) names = list_directory(dir, shown);
    if (path.empty()) std::erase_if(names, [](const DirectoryEntry& entry) { return entry.name == meta_name; });
    const auto marked = marked_.find(path);
    if (marked == marked_.end()) return names;
    for (const std::string& name : marked->second) names.push_back({name, DT_UNKNOWN, 0});
    sort_names(names);
    return names;
  }

  Found look(int dir, const std::string& path, const std::string& name, std::string_view shown) const override {
    if (path.empty() && name == meta_name) return {};
    Found found;
    if (dir >= 0) found.entry = try_stat(dir, name, shown);
    const std::string full = joined(path, name);
    found.hides = hidden_.contains(full) && (!found.entry || found.entry->is_directory());
    found.beneath = !found.entry && !found.hides && marked_.contains(full);
    return found;
  }

  std::string objection(const std::string& path, const std::string& name, const Metadata& metadata) const override {
    if (path.empty() && name == meta_name) return "there, it holds the marks of deletions";
    if (name.ends_with(tag)) return "there, a name that ends in " + quoted(tag) + " is a deletion";
    if (!metadata.is_directory() && name.size() + tag.size() > NAME_MAX)
      return "its name is too long to be hidden there";
    return {};
  }

  int write_whiteout(int, const std::string& path, const std::string& name) override {
    return write_mark(joined(path, name));
  }
  int write_opaque(int, const std::string& path) override { return write_mark(path); }
  int write_beside(const std::string& path) override { return write_mark(path); }

 private:
  /// One directory of marks. The names that are marked, and the directories that lead to them, are remembered by the
  /// directory that they are in.
  void read_marks(const std::string& path, std::vector<std::string>& pending) {
    const FileDescriptor dir =
        try_open_beneath(root_, joined(meta_name, path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, meta_name);
    if (!dir) return;
    for (const DirectoryEntry& entry : list_directory(dir.get(), meta_name)) {
      if (entry.name.size() > tag.size() && entry.name.ends_with(tag)) {
        const std::string name = entry.name.substr(0, entry.name.size() - tag.size());
        hidden_.insert(joined(path, name));
        remember(path, name);
      }
      if (entry.type == DT_DIR || entry.type == DT_UNKNOWN) pending.push_back(joined(path, entry.name));
    }
  }

  void remember(std::string path, std::string name) {
    while (marked_[path].insert(name).second && !path.empty()) {
      const std::size_t slash = path.rfind('/');
      name = path.substr(slash == std::string::npos ? 0 : slash + 1);
      path = path.substr(0, slash == std::string::npos ? 0 : slash);
    }
  }

  /// All marks are names of few files.
  int write_mark(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    const std::string directory = joined(meta_name, slash == std::string::npos ? "" : path.substr(0, slash));
    const std::string name = path.substr(slash == std::string::npos ? 0 : slash + 1) + std::string(tag);
    if (!directory_ || directory != directory_path_) {
      if (open_marks(directory) != 0) return -1;
      directory_path_ = directory;
    }
    const int fd = directory_.get();
    if (first_) {
      if (sys::linkat(first_directory_.get(), first_->c_str(), fd, name.c_str(), 0) == 0) return 0;
      if (errno != EMLINK && errno != EPERM) return -1;
    }
    if (write_empty_file(fd, name, 0644) != 0) return -1;
    first_directory_.reset(sys::openat(fd, ".", O_PATH | O_DIRECTORY));
    first_ = name;
    return first_directory_ ? 0 : -1;
  }

  /// Makes a directory of marks, and those that lead to it.
  int open_marks(const std::string& directory) {
    directory_.reset();
    FileDescriptor here(sys::openat(root_, ".", O_PATH | O_DIRECTORY));
    for (std::size_t at = 0; here && at < directory.size();) {
      const std::size_t end = std::min(directory.find('/', at), directory.size());
      const std::string name = directory.substr(at, end - at);
      if (sys::mkdirat(here.get(), name.c_str(), 0755) != 0 && errno != EEXIST) return -1;
      here = FileDescriptor(sys::openat(here.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW));
      at = end + 1;
    }
    if (!here) return -1;
    directory_ = std::move(here);
    return 0;
  }

  const int root_;
  std::set<std::string> hidden_;
  std::map<std::string, std::set<std::string>> marked_;

  FileDescriptor directory_;  ///< of marks, that was written to last
  std::string directory_path_;
  FileDescriptor first_directory_;  ///< where a mark is that others are links to
  std::optional<std::string> first_;
};

}  // namespace

std::shared_ptr<LayerForm> unionfs_fuse_form(int root) { return std::make_shared<UnionfsFuseForm>(root); }

}  // namespace strata::detail
