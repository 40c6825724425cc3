#include "tree/translate.hpp"

#include <strata/error.hpp>

#include "tree/copy.hpp"
#include "tree/entry_path.hpp"
#include "tree/forms/form.hpp"

#include <map>

namespace strata::detail {
namespace {

class Translation {
 public:
  Translation(const boost::filesystem::path& from, UnionForm form, const boost::filesystem::path& to, UnionForm to_form,
              const Control& control)
      : plain_({from}, MergedView::Marks::none),
        to_(open_directory(to)),
        form_(form),
        to_form_(to_form),
        reader_(layer_form(form, plain_.root_descriptor(0))),
        writer_(layer_form(to_form, to_.get())),
        control_(control) {}

  void run() {
    if (reader_->root_hides()) refuse("", "its root hides all that is below, which no other form can say");
    directories_.push_back({"", stat_of(plain_.root_descriptor(0)), {}, false});
    directories_.front().xattrs = own_xattrs(plain_.root_descriptor(0), "", "");
    // They grow meanwhile: a directory comes after the one that it is in.
    for (std::size_t i = 0; i < directories_.size(); ++i) translate(i);
    // What is in a directory changes its time, so those that are in others come first.
    for (auto directory = directories_.rbegin(); directory != directories_.rend(); ++directory) {
      const FileDescriptor made = open_beneath(to_.get(), directory->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
      setter_.replace_directory(made.get(), attributes_of(directory->metadata, std::move(directory->xattrs)),
                                shown(directory->path));
      ObjectSetter::set_times(made.get(), directory->metadata.mtime, shown(directory->path));
    }
  }

 private:
  struct Directory {
    std::string path;
    Metadata metadata;
    Xattrs xattrs;
    bool covered;  ///< it, or one that it is in, is opaque: nothing below is left to hide
  };

  [[noreturn]] void refuse(const std::string& path, const std::string& why) const {
    throw_error(
        errc::unsupported, "translate", quoted(shown(path)),
        why + " (from the form " + std::string(to_string(form_)) + " to " + std::string(to_string(to_form_)) + ")",
        "use a union mount that reads the form " + std::string(to_string(form_)));
  }
  static std::string shown(const std::string& path) { return path.empty() ? "./" : path; }

  void check(int result, const std::string& path) const {
    if (result == 0) return;
    if (errno == ENAMETOOLONG) refuse(path, "its name is too long for a mark that hides it");
    throw_errno(errno, "write the mark that hides", quoted(path));
  }

  void translate(std::size_t index) {
    const std::string path = directories_[index].path;
    const bool covered = directories_[index].covered;
    const FileDescriptor from =
        open_beneath(plain_.root_descriptor(0), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, shown(path));
    const FileDescriptor to = open_beneath(to_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    for (const DirectoryEntry& listed : reader_->list(from.get(), path, path)) {
      if (control_.stop.stop_requested()) throw_error(errc::cancelled, "translate", quoted(path));
      const std::string below = joined(path, listed.name);
      const LayerForm::Found found = reader_->look(from.get(), path, listed.name, path);
      if (found.beneath) refuse(below, "something in it is deleted, and it isn't in the tree");
      if (!found.entry) {
        if (found.hides && !covered) check(writer_->write_whiteout(to.get(), path, listed.name), below);
        continue;
      }
      if (const std::string why = writer_->objection(path, listed.name, *found.entry); !why.empty()) refuse(below, why);
      if (found.entry->is_directory()) {
        if (sys::mkdirat(to.get(), listed.name.c_str(), 0700) != 0)
          throw_errno(errno, "create the directory", quoted(below));
        directories_.push_back(
            {below, *found.entry, own_xattrs(from.get(), listed.name, below), covered || found.hides});
        if (found.hides && !covered) {
          const FileDescriptor made = open_beneath(to.get(), listed.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
          check(writer_->write_opaque(made.get(), below), below);
        }
      } else {
        translate_file(from.get(), to.get(), listed.name, below, *found.entry);
        check(writer_->write_beside(below), below);
      }
      if (++progress_.entries % 256 == 0 && control_.observer) control_.observer(progress_);
    }
  }

  /// The attributes that stay. `marked`: set where others don't.
  Xattrs own_xattrs(int dir, const std::string& name, const std::string& path, bool* marked = nullptr) const {
    const bool one_namespace = !overlay_prefix(form_).empty() && overlay_prefix(form_) == overlay_prefix(to_form_);
    Xattrs xattrs;
    for (auto& [attribute, value] : read_xattrs(dir, name, shown(path))) {
      const LayerForm::Owner owner = reader_->owner(attribute);
      if (owner == LayerForm::Owner::form) {
        if (marked != nullptr) *marked = true;
        continue;
      }
      if (owner == LayerForm::Owner::binding && !one_namespace)
        refuse(path, "its attribute " + quoted(attribute) + " says that it is something else");
      if (owner == LayerForm::Owner::file && writer_->owner(attribute) != LayerForm::Owner::file)
        refuse(path, "there, its attribute " + quoted(attribute) + " is a mark");
      xattrs.emplace(attribute, std::move(value));
    }
    return xattrs;
  }

  void translate_file(int from, int to, const std::string& name, const std::string& path, const Metadata& metadata) {
    bool marked = false;
    Xattrs xattrs = own_xattrs(from, name, path, &marked);
    if (!marked && sys::linkat(from, name.c_str(), to, name.c_str(), 0) == 0) return;
    // Another filesystem, a filesystem's limit of names, or a file of someone else (fs.protected_hardlinks).
    if (!marked && errno != EXDEV && errno != EMLINK && errno != EPERM) throw_errno(errno, "link", quoted(path));
    if (metadata.links > 1) {
      const auto [first, added] = copies_.emplace(std::pair{metadata.device, metadata.inode}, path);
      if (!added) {
        const std::size_t slash = first->second.rfind('/');
        const bool in_root = slash == std::string::npos;
        const FileDescriptor dir =
            open_beneath(to_.get(), in_root ? "" : first->second.substr(0, slash), O_PATH | O_DIRECTORY | O_NOFOLLOW);
        if (sys::linkat(dir.get(), first->second.substr(in_root ? 0 : slash + 1).c_str(), to, name.c_str(), 0) != 0)
          throw_errno(errno, "link", quoted(path));
        return;
      }
    }
    const MergedView::Place place{0, path};
    copy_file(plain_, {metadata, {place}, place}, attributes_of(metadata, std::move(xattrs)), to, name, setter_);
    progress_.bytes += metadata.is_file() ? metadata.size : 0;
  }

  const MergedView plain_;
  const FileDescriptor to_;
  const UnionForm form_, to_form_;
  const std::shared_ptr<LayerForm> reader_, writer_;
  const Control& control_;
  Progress progress_{.phase = Progress::Phase::writing};
  Report report_;
  bool altered_ = false;
  const ObjectSetter setter_{Owners::keep, report_, Conformance::compat, &altered_};
  std::vector<Directory> directories_;
  std::map<std::pair<dev_t, ino_t>, std::string> copies_;  ///< files with several names, to the first one's copy
};

}  // namespace

void translate_tree(const boost::filesystem::path& from, UnionForm form, const boost::filesystem::path& to,
                    UnionForm to_form, const Control& control) {
  Translation(from, form, to, to_form, control).run();
}

}  // namespace strata::detail
