// What the tests of union forms share.
#pragma once

#include "tree/merged_view.hpp"
#include "tree/translate.hpp"

#include <strata/error.hpp>

#include "support/catch.hpp"
#include "support/form_mount.hpp"
#include "support/random_changes.hpp"
#include "support/tree_changes.hpp"
#include "support/view_text.hpp"

#include <algorithm>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

namespace strata::test {

namespace fs = boost::filesystem;
using strata::detail::MergedView;
using Paths = std::vector<fs::path>;

/// The kernel's form that this user's mounts have.
inline UnionForm kernel_form() { return is_privileged() ? UnionForm::overlay_trusted : UnionForm::overlay_user; }

/// Why this user can't write a form; empty: he can.
inline std::string why_no_attributes(UnionForm form) {
  const bool trusted = overlay_prefix(form).starts_with("trusted");
  return trusted && !is_privileged() ? "this user can't have trusted attributes" : "";
}

inline void skip(UnionForm form, const std::string& why) { WARN(to_string(form) << ": skipped: " << why); }

inline MergedView mixed_view(const fs::path& top, UnionForm form, const fs::path& base, UnionForm base_form) {
  return strata::detail::stacked(top, form, {base}, base_form);
}
inline MergedView view_of(const Paths& stack, UnionForm form) {
  std::vector<MergedView::Layer> layers;
  for (const fs::path& path : stack) layers.push_back({path, form});
  return MergedView::of(layers);
}

/// A tree's text without what a pattern matches.
inline std::string without(const char* pattern, const std::string& text) {
  std::istringstream lines(std::regex_replace(text, std::regex(pattern), ""));
  std::vector<std::string> sorted;
  for (std::string line; std::getline(lines, line);) sorted.push_back(line);
  std::ranges::sort(sorted);
  std::string all;
  for (const std::string& line : sorted) all += line + "\n";
  return all;
}

/// A tree's text as far as a form's program shows it: unionfs-fuse has neither extended attributes nor common inodes.
inline std::string shown_by(const std::string& text, UnionForm form) {
  if (form != UnionForm::unionfs_fuse) return text;
  return without(" (user|trusted|security|system)\\.[^ \n]*=[0-9a-f]*| same as [^]*?(?=\n\\.|$)", text);
}

inline struct stat status_of(const fs::path& file) {
  struct stat st {};
  if (::lstat(file.c_str(), &st) != 0) FAIL_CHECK("can't stat " << file);
  return st;
}

/// The Error that `call` throws.
template <class Call>
Error error_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("nothing was thrown");
}

/// All that a layer says, mark by mark.
inline std::string marks_text(const fs::path& tree, UnionForm form) {
  const FileDescriptor root = strata::detail::open_directory(tree);
  const auto layer = strata::detail::layer_form(form, root.get());
  std::string text;
  std::vector<std::string> pending{""};
  while (!pending.empty()) {
    const std::string path = pending.back();
    pending.pop_back();
    const FileDescriptor dir = strata::detail::open_beneath(root.get(), path, O_RDONLY | O_DIRECTORY);
    for (const auto& entry : layer->list(dir.get(), path, path)) {
      const auto found = layer->look(dir.get(), path, entry.name, path);
      const std::string below = path + (path.empty() ? "" : "/") + entry.name;
      text += below + (found.entry ? " there" : "") + (found.hides ? " hides" : "") + "\n";
      if (found.entry && found.entry->is_directory()) pending.push_back(below);
    }
  }
  return text;
}

}  // namespace strata::test
