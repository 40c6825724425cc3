#include <strata/error.hpp>
#include <strata/mount/copy.hpp>

#include "base/files.hpp"
#include "mount/host.hpp"
#include "mount/unmount.hpp"
#include "mount/whole.hpp"
#include "tree/copy.hpp"

namespace strata {
namespace {

using namespace detail;

/// Makes the directory `name` in `work` a copy of what the lowers show.
void copy_lowers(const MountPlan& plan, int work, const std::string& name) {
  const MergedView view(plan.lowers, MergedView::marks_of(plan.form));
  const MergedView::Entry root = view.root().value();
  make_directory(work, name);
  const FileDescriptor copy(sys::openat(work, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!copy) throw_errno(errno, "open", quoted((plan.work / name).native()));
  // What this user can't give was reported when the layers were imported.
  Report report;
  bool altered = false;
  copy_view(view, copy.get(), attributes_of(root.metadata, view.xattrs(root)), {},
            ObjectSetter{Owners::squash, report, Conformance::compat, &altered}, plan.control);
}

}  // namespace

MountProbe Copy::probe() const {
  MountProbe probe;
  probe.usable = true;
  probe.features.emplace_back("layers at most", "any number");
  return probe;
}

bool Copy::reads(UnionForm form) const {
  return (form == UnionForm::overlay_trusted || form == UnionForm::overlay_user) && sees_marks(form);
}

MountResult Copy::mount(const MountPlan& plan) const {
  check_whole(plan, name);
  std::string made = "a copy that was there";
  make_whole(plan, [&](int work, const std::string& directory) {
    copy_lowers(plan, work, directory);
    made = can_share_blocks(work) ? "a copy that shares blocks" : "a copy";
  });
  return {made + ", " + attach_whole(plan)};
}

void Copy::unmount(std::string_view target) const { unmount_at(std::string(target), name); }

}  // namespace strata
