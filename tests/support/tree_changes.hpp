// Trees before and after a change that a shell script makes: an upper directory as a real overlay writes it, and a
// changed copy. For tests of what a diff tells of them.
#pragma once

#include "support/catch.hpp"
#include "support/change_list.hpp"
#include "support/private_overlay.hpp"
#include "support/scratch.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace strata::test {

inline void run_script(const std::string& script) {
  if (std::system(("set -e\n" + script).c_str()) != 0) throw std::runtime_error("failed: " + script);
}
inline void run_script_in(const boost::filesystem::path& directory, const std::string& script) {
  run_script("cd '" + directory.native() + "'\n" + script);
}

/// A stack of a base and an upper that a real overlay wrote.
struct UpperChange {
  ScratchDirectory scratch;
  boost::filesystem::path base = scratch.directory("base"), upper = scratch.directory("upper"),
                          work = scratch.directory("work"), merged = scratch.directory("merged");
  std::string options = "redirect_dir=off,metacopy=off,index=off";
  Report report;
  ChangeList told;

  explicit UpperChange(const std::string& before) { run_script_in(base, before); }

  bool possible() const { return can_mount_overlay(scratch.path()); }
  void change(const std::string& script) {
    in_overlay({{base}, upper, work, options}, merged, [&](const auto& root) {
      run_script_in(root, script);
      return std::string();
    });
  }
  /// Gives the upper's root the time of the lower's, so that the root itself is no change.
  void keep_root_time() const { run_script("touch -r '" + base.native() + "' '" + upper.native() + "'"); }
  const std::string& tell(const detail::ChangeOptions& change_options = {}) {
    keep_root_time();
    const detail::MergedView view({upper, base});
    changes_of_upper(view, view.below(), told, change_options, report);
    return told.text;
  }
};

/// redirect_dir, metacopy and index need trusted.* attributes.
inline bool may_redirect() {
  if (!is_privileged()) WARN("skipped: this user can't have redirect_dir, metacopy or index");
  return is_privileged();
}

/// Two trees: the first made by a script, the second a true copy of it that another script changes.
struct TreeChange {
  ScratchDirectory scratch;
  boost::filesystem::path older = scratch.directory("older"), newer = scratch.path() / "newer";
  Report report;
  ChangeList told;

  explicit TreeChange(const std::string& before) {
    run_script_in(older, before);
    run_script("cp -a '" + older.native() + "' '" + newer.native() + "'");
  }
  void change(const std::string& script) const { run_script_in(newer, script); }
  /// As that of UpperChange.
  void keep_root_time() const { run_script("touch -r '" + older.native() + "' '" + newer.native() + "'"); }
  const std::string& tell(const detail::ChangeOptions& options = {}) {
    using detail::MergedView;
    keep_root_time();
    const MergedView before({older}, MergedView::Marks::none), after({newer}, MergedView::Marks::none);
    changes_between(before, after, told, options, report);
    return told.text;
  }
};

}  // namespace strata::test
