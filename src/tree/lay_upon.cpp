#include "tree/lay_upon.hpp"

#include <strata/error.hpp>

#include "tree/copy.hpp"
#include "tree/merged_view.hpp"

#include <map>
#include <utility>

namespace strata::detail {
namespace {

class Laying {
 public:
  Laying(const MergedView& tree, int target, const ObjectSetter& setter, const Control& control)
      : tree_(tree), target_(target), setter_(setter), control_(control) {}

  void run() {
    if (const auto root = tree_.root()) directory(*root, target_, "");
  }

 private:
  /// `at` is open on what is at `path` of the target, "" or ending in '/'.
  void directory(const MergedView::Entry& from, int at, const std::string& path) {
    const FileDescriptor raw =
        open_beneath(tree_.root_descriptor(0), from.top().path, O_RDONLY | O_DIRECTORY, tree_.shown(from));
    // A mode that shuts out even an owner; in the end it has that of the tree.
    if (const Metadata now = stat_of(at, path); (now.mode & 0700) != 0700 && sys::fchmod(at, 0700) != 0)
      throw_errno(errno, "open up the directory", quoted(path));
    // Of the lowest layer the view itself doesn't ask for it.
    if (tree_.mark(from, "opaque") == "y")
      for (const DirectoryEntry& entry : list_directory(at)) remove_tree(at, entry.name);
    const auto entries = tree_.list(from);
    // What is in the directory and not in the view is a whiteout.
    auto shown = entries.begin();
    for (const std::string& name : sorted_names(raw.get())) {
      if (shown != entries.end() && shown->first == name)
        ++shown;
      else
        remove_tree(at, name);
    }
    for (const auto& [name, entry] : entries) put(entry, at, name, path);
    setter_.replace_directory(at, attributes_of(from.metadata, tree_.xattrs(from)), path);
    ObjectSetter::set_times(at, from.metadata.mtime, path);
  }

  static std::vector<std::string> sorted_names(int directory) {
    std::vector<std::string> names;
    for (DirectoryEntry& entry : list_directory(directory)) names.push_back(std::move(entry.name));
    std::sort(names.begin(), names.end());
    return names;
  }

  void put(const MergedView::Entry& entry, int at, const std::string& name, const std::string& path) {
    if (control_.stop.stop_requested()) throw_error(errc::cancelled, "copy", quoted(path + name));
    progress_.bytes += entry.metadata.is_file() ? entry.metadata.size : 0;
    if (++progress_.entries % 256 == 0 && control_.observer) control_.observer(progress_);
    const std::optional<Metadata> present = try_stat(at, name);
    if (entry.metadata.is_directory()) {
      if (!present || !present->is_directory()) {
        if (present) remove_tree(at, name);
        if (sys::mkdirat(at, name.c_str(), 0700) != 0) throw_errno(errno, "create the directory", quoted(path + name));
      } else if ((present->mode & 0700) != 0700 && change_mode(at, name, 0700) != 0) {
        throw_errno(errno, "open up the directory", quoted(path + name));
      }
      const FileDescriptor inside(sys::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      if (!inside) throw_errno(errno, "open the directory", quoted(path + name));
      return directory(entry, inside.get(), path + name + "/");
    }
    if (present) remove_tree(at, name);
    if (entry.metadata.links > 1) {
      const auto [first, added] = links_.emplace(entry.metadata.inode, path + name);
      if (!added) return link(first->second, at, name);
    }
    copy_file(tree_, entry, attributes_of(entry.metadata, tree_.xattrs(entry)), at, name, setter_);
  }

  void link(const std::string& first, int at, const std::string& name) {
    const std::size_t leaf = first.rfind('/') + 1;  // npos + 1 is 0
    const FileDescriptor parent =
        open_beneath(target_, first.substr(0, leaf == 0 ? 0 : leaf - 1), O_PATH | O_DIRECTORY);
    if (sys::linkat(parent.get(), first.c_str() + leaf, at, name.c_str(), 0) != 0)
      throw_errno(errno, "link", quoted(name));
  }

  const MergedView& tree_;
  int target_;
  const ObjectSetter& setter_;
  const Control& control_;
  Progress progress_{.phase = Progress::Phase::writing};
  std::map<ino_t, std::string> links_;  // where the first name of a file with several was put
};

}  // namespace

void lay_upon(const boost::filesystem::path& tree, UnionForm form, int target, const ObjectSetter& setter,
              const Control& control) {
  const MergedView view({tree}, MergedView::marks_of(form));
  Laying(view, target, setter, control).run();
}

}  // namespace strata::detail
