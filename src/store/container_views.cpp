#include "store/container_views.hpp"

#include <strata/error.hpp>

#include "store/chain_root.hpp"
#include "store/snapshots.hpp"
#include "store/translations.hpp"
#include "tree/directory.hpp"

namespace strata::detail {
namespace {

MergedView view_of(const StoreCore& core, const Container& container, const Layer& below) {
  if (!container.whole)
    return stacked(container.upper(), container.form.value_or(core.form()), core.lowers(below), core.form());
  if (!try_stat(AT_FDCWD, container.upper().native()))
    throw_error(errc::refused, "look for changes in", "container " + quoted(container.name),
                "it was never mounted to the end: there is nothing in it", "mount it first");
  if (try_stat(AT_FDCWD, (container.work() / device_record).native()) &&
      stat_of(open_directory(container.upper()).get()).device ==
          stat_of(open_directory(container.directory).get()).device)
    throw_error(errc::refused, "look for changes in", "container " + quoted(container.name),
                "it is on a device of its own, which isn't mounted", "mount it first");
  return MergedView({container.upper()}, MergedView::Marks::none);
}

}  // namespace

ContainerViews::ContainerViews(const StoreCore& core, const Container& container, const Layer& below)
    : core_(core),
      whole_(container.whole),
      changed_(view_of(core, container, below)),
      lower_(whole_ ? MergedView(core.lowers(below), MergedView::marks_of(core.form())) : changed_.below()),
      lower_root_(chain_root(core, below)) {
  if (!whole_) index_ = index_of(container.work());
}

void ContainerViews::tell(ChangeSink& sink, ChangeOptions options, Report& report) const {
  options.lower_root = lower_root_;
  options.names_elsewhere = names_in_translations(core_);
  if (whole_) return changes_between(lower_, changed_, sink, options, report);
  options.index = index_;
  changes_of_upper(changed_, lower_, sink, options, report);
}

}  // namespace strata::detail
