// The four forms of the kernel's overlay. It reads whiteouts of both kinds, in whichever namespace the mount has; the
// forms differ in what is written. (Reading a stack of them, with redirects and metacopy, is MergedView's.)
#include "tree/forms/families.hpp"

namespace strata::detail {
namespace {

class OverlayForm : public LayerForm {
 public:
  explicit OverlayForm(UnionForm form) : prefix_(overlay_prefix(form)) {}

  Found look(int dir, const std::string&, const std::string& name, std::string_view shown) const override {
    Found found{try_stat(dir, name, shown)};
    if (!found.entry) return found;
    const auto marked = [&](const char* mark) { return read_xattr(dir, name, prefix_ + mark, shown); };
    if (found.entry->is_whiteout() || (found.entry->is_file() && found.entry->size == 0 && marked("whiteout")))
      return {.entry = std::nullopt, .hides = true};
    found.hides = found.entry->is_directory() && marked("opaque") == "y";
    return found;
  }

  Owner owner(std::string_view attribute) const override {
    if (!attribute.starts_with(prefix_)) return Owner::file;
    const std::string_view mark = attribute.substr(prefix_.size());
    // What begins so is an inner overlay's, or a file's, and means what follows (fs/overlayfs/xattrs.c, Linux 6.7).
    return mark == "redirect" || mark == "metacopy" || mark.starts_with("overlay.") ? Owner::binding : Owner::form;
  }

  std::string objection(const std::string&, const std::string&, const Metadata& metadata) const override {
    return objection_to_whiteout_device(metadata);
  }

  /// Any user may make a device 0:0 (Linux 5.8), but not inside an overlay.
  int write_whiteout(int dir, const std::string&, const std::string& name) override {
    return sys::mknodat(dir, name.c_str(), S_IFCHR, 0);
  }
  int write_opaque(int dir, const std::string&) override { return mark(dir, "opaque", 'y'); }

 protected:
  int mark(int fd, const char* name, char value) const {
    return sys::fsetxattr(fd, (prefix_ + name).c_str(), &value, 1, 0);
  }

 private:
  const std::string prefix_;
};

/// Whiteouts as files. Where neither their directory nor the layer's root has opaque="x", the kernel would list their
/// names.
class OverlayXattrForm final : public OverlayForm {
 public:
  OverlayXattrForm(UnionForm form, int root) : OverlayForm(form), root_(root) {}

  int write_whiteout(int dir, const std::string&, const std::string& name) override {
    const FileDescriptor file(sys::openat(dir, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    if (!file || mark(file.get(), "whiteout", 'y') != 0 || mark(dir, "opaque", 'x') != 0) return -1;
    if (!root_marked_ && mark(root_, "opaque", 'x') != 0) return -1;
    root_marked_ = true;
    return 0;
  }

 private:
  const int root_;
  bool root_marked_ = false;
};

}  // namespace

std::shared_ptr<LayerForm> overlay_form(UnionForm form, int root) {
  if (form == UnionForm::overlay_xattr_trusted || form == UnionForm::overlay_xattr_user)
    return std::make_shared<OverlayXattrForm>(form, root);
  return std::make_shared<OverlayForm>(form);
}

}  // namespace strata::detail
