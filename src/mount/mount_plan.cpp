#include <strata/error.hpp>
#include <strata/mount_plan.hpp>

#include <algorithm>

namespace strata {
namespace {

using boost::filesystem::path;

constexpr std::size_t longest_source = 255;  // what fsconfig takes as a string

[[noreturn]] void refuse(std::string detail, std::string remedy) {
  throw_error(errc::refused, "mount", "this plan", std::move(detail), std::move(remedy));
}

/// A path as text in which each name ends in NUL, so that a directory is a prefix of all that is beneath it, and sorts
/// directly before it.
std::string comparable(const path& name) {
  const bool plain = name.native().find("//") == std::string::npos && name.native().find("/.") == std::string::npos &&
                     name.native().find("./") == std::string::npos && !name.native().ends_with('/');
  std::string text = plain ? name.native() : name.lexically_normal().native();
  if (text.ends_with("/.")) text.pop_back();  // lexically_normal's form of a trailing '/'
  std::replace(text.begin(), text.end(), '/', '\0');
  if (!text.ends_with('\0')) text += '\0';
  return text;
}

void check_path(const path& name, const char* member) {
  if (name.empty()) refuse(std::string(member) + " is empty", "name a directory");
  if (name.native().find('\0') != std::string::npos)
    refuse(std::string(member) + " " + quoted(name.native()) + " has a NUL byte", "no path can have one");
}

void check_layers(const MountPlan& plan) {
  if (plan.lowers.empty()) refuse("it has no lower", "give at least one layer");
  std::vector<std::pair<std::string, const path*>> sorted;
  sorted.reserve(plan.lowers.size() + plan.data_only.size());
  const auto add = [&](const std::vector<path>& directories, const char* member) {
    for (const auto& directory : directories) {
      check_path(directory, member);
      sorted.emplace_back(comparable(directory), &directory);
    }
  };
  add(plan.lowers, "a lower");
  add(plan.data_only, "a data-only lower");
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    const auto& [outer, outer_path] = sorted[i - 1];
    const auto& [inner, inner_path] = sorted[i];
    if (inner == outer && !plan.chain.empty()) continue;
    if (inner == outer) refuse("lower " + quoted(inner_path->native()) + " is there twice", "give each lower once");
    if (inner.starts_with(outer))
      refuse("lower " + quoted(inner_path->native()) + " is inside lower " + quoted(outer_path->native()),
             "lowers must be separate directories");
  }
  if (plan.upper.empty()) return;
  const std::string upper = comparable(plan.upper);
  // An upper inside a lower is legal; the reverse would let the kernel change what it calls unchanging.
  const auto inside = std::lower_bound(sorted.begin(), sorted.end(), upper,
                                       [](const auto& entry, const std::string& text) { return entry.first < text; });
  if (inside != sorted.end() && inside->first.starts_with(upper))
    refuse("lower " + quoted(inside->second->native()) + " is upper " + quoted(plan.upper.native()) + " or inside it",
           "the upper must be a directory of its own");
}

void check_upper(const MountPlan& plan) {
  if (plan.upper.empty() != plan.work.empty())
    refuse(plan.work.empty() ? "it has an upper but no work" : "it has a work but no upper",
           "give both for a mount that can be written, neither for one that can't");
  if (plan.upper.empty()) {
    if (plan.options.is_volatile) refuse("option volatile without an upper", "leave it out: nothing is ever written");
    return;
  }
  check_path(plan.upper, "upper");
  check_path(plan.work, "work");
  const std::string upper = comparable(plan.upper);
  const std::string work = comparable(plan.work);
  if (upper.starts_with(work) || work.starts_with(upper))
    refuse("upper " + quoted(plan.upper.native()) + " and work " + quoted(plan.work.native()) +
               " are the same, or one is inside the other",
           "put them side by side");
}

/// What every kernel refuses together, or drops one of without a word. (Whether verity needs metacopy changed in 6.16:
/// that is left to the kernel.)
void check_options(const MountPlan& plan) {
  const OverlayOptions& options = plan.options;
  using RedirectDir = OverlayOptions::RedirectDir;
  const bool user_form = plan.form == UnionForm::overlay_user;
  if (options.userxattr && *options.userxattr != user_form)
    refuse(user_form ? "option userxattr=off with layers in the form overlay-user"
                     : "option userxattr with layers in the form overlay-trusted",
           "leave it out: it follows the form of the layers, whose deletions it would not see");
  const bool metacopy = options.metacopy.value_or(false);
  const char* const without_trusted = "use it with layers in the form overlay-trusted, as root";
  if (user_form && options.redirect_dir == RedirectDir::on)
    refuse("option redirect_dir=on with userxattr", without_trusted);
  if (user_form && metacopy) refuse("option metacopy=on with userxattr", without_trusted);
  if (metacopy && options.redirect_dir.value_or(RedirectDir::on) != RedirectDir::on)
    refuse("option metacopy=on with a redirect_dir other than on",
           "metacopy needs redirect_dir=on, which it brings: leave redirect_dir out");
  if (options.nfs_export.value_or(false)) {
    if (metacopy) refuse("option nfs_export=on with metacopy=on", "choose one of them");
    if (options.index == false)
      refuse("option nfs_export=on with index=off", "nfs_export needs the index: leave index out");
  }
}

void check_all_but_target(const MountPlan& plan) {
  check_layers(plan);
  check_upper(plan);
  check_options(plan);
  if (plan.source.size() > longest_source || plan.source.find('\0') != std::string::npos)
    refuse("source " + quoted(plan.source) + " is longer than 255 bytes or has a NUL byte", "give a shorter one");
}

}  // namespace

void MountPlan::validate() const {
  check_path(target, "target");
  check_all_but_target(*this);
}

void MountPlan::validate_detached() const {
  if (!target.empty()) refuse("a detached mount has a target", "leave it out, or attach the mount there afterwards");
  check_all_but_target(*this);
}

}  // namespace strata
