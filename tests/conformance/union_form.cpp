// Every union form: a stack reads the same in each, each is made of each, and the program that a form is for sees what
// MergedView sees. Of AUFS, which no kernel here has, by what one was seen to do.
#include "conformance/union_form_suite.hpp"

#include "tree/forms/form.hpp"

#include <iostream>
#include <memory>

using namespace strata;
using namespace strata::test;
using strata::detail::translate_tree;

namespace {

ino_t inode_of(const fs::path& file) { return status_of(file).st_ino; }

/// A layer as the kernel's overlay left it, on top of a plain tree.
struct RandomStack {
  ScratchDirectory scratch;
  fs::path base = scratch.directory("base"), layer = scratch.directory("layer");

  explicit RandomStack(unsigned seed) {
    RandomChanges(base, seed).make(60);
    in_overlay({{base}, layer, scratch.directory("work"), "redirect_dir=off,metacopy=off,index=off"},
               scratch.directory("merged"), [&](const auto& root) {
                 RandomChanges(root, 1000 + seed).make(60);
                 return std::string();
               });
  }

  /// Both in another form: topmost first.
  Paths in(UnionForm form, const std::string& name) {
    const auto made = scratch.directory(name), made_base = scratch.directory(name + "-base");
    translate_tree(layer, kernel_form(), made, form);
    translate_tree(base, kernel_form(), made_base, form);
    return {made, made_base};
  }
};

}  // namespace

TEST_CASE("a stack shows the same in every form, and to the program that reads it", "[union_form]") {
  if (const ScratchDirectory probe; !can_mount_overlay(probe.path())) return;
  const UnionForm form = GENERATE(from_range(all_union_forms));
  INFO(to_string(form));
  if (const std::string why = why_no_attributes(form); !why.empty()) return skip(form, why);
  for (unsigned seed = 0; seed < 6; ++seed) {
    INFO(seed);
    RandomStack stack(seed);
    const std::string expected = shown_by(view_text(view_of({stack.layer, stack.base}, kernel_form())), form);
    const Paths translated = stack.in(form, "translated");
    CHECK(difference(expected, shown_by(view_text(view_of(translated, form)), form)) == "");
    if (!why_no_union(form).empty()) continue;
    const std::string seen = in_union({form, translated}, stack.scratch.directory("merged"), tree_text);
    CHECK(difference(expected, shown_by(seen, form)) == "");
  }
  if (const std::string& why = why_no_union(form); !why.empty()) skip(form, "not mounted: " + why);
}

TEST_CASE("a tree goes from each form to each and back", "[union_form]") {
  if (const ScratchDirectory probe; !can_mount_overlay(probe.path())) return;
  std::string table;
  for (const UnionForm from : all_union_forms)
    for (const UnionForm to : all_union_forms) {
      INFO(to_string(from) << " to " << to_string(to));
      std::string result = "ok";
      for (const UnionForm form : {from, to})
        if (const std::string why = why_no_attributes(form); !why.empty()) result = "skipped: " + why;
      for (unsigned seed = 20; seed < 23 && result == "ok"; ++seed) {
        INFO(seed);
        RandomStack stack(seed);
        const auto there = stack.scratch.directory("there"), back = stack.scratch.directory("back");
        const Paths first = stack.in(from, "first");
        translate_tree(first[0], from, there, to);
        translate_tree(there, to, back, from);
        const std::string expected = view_text(view_of(first, from));
        CHECK(difference(expected, view_text(mixed_view(there, to, first[1], from))) == "");
        CHECK(difference(expected, view_text(view_of({back, first[1]}, from))) == "");
        CHECK(difference(marks_text(first[0], from), marks_text(back, from)) == "");
      }
      table.append(to_string(from)).append(" -> ").append(to_string(to)).append(": ").append(result).append("\n");
    }
  std::cout << table;
}

TEST_CASE("files of a translation are those of the tree, with their names, and directories have its times",
          "[union_form]") {
  const ScratchDirectory scratch;
  const auto tree = scratch.directory("tree"), to = scratch.directory("to");
  run_script_in(tree, "mkdir -p d/e; echo 1 > d/a; ln d/a d/e/b; ln -s a d/l; touch -d @1000.5 d/e d .");
  const UnionForm form = GENERATE(from_range(all_union_forms));
  INFO(to_string(form));
  if (const std::string why = why_no_attributes(form); !why.empty()) return skip(form, why);
  translate_tree(tree, kernel_form(), to, form);
  CHECK(inode_of(tree / "d/a") == inode_of(to / "d/a"));
  CHECK(inode_of(tree / "d/a") == inode_of(to / "d/e/b"));
  CHECK(inode_of(tree / "d/l") == inode_of(to / "d/l"));
  CHECK(inode_of(tree / "d") != inode_of(to / "d"));
  for (const char* directory : {".", "d", "d/e"}) {
    CHECK(status_of(to / directory).st_mtim.tv_sec == 1000);
    CHECK(status_of(to / directory).st_mtim.tv_nsec == 500000000);
  }
}

TEST_CASE("on another filesystem, files of a translation are copies, with their names", "[union_form]") {
  const ScratchDirectory scratch;
  std::string other = "/dev/shm/strata-test-XXXXXX";
  if (::mkdtemp(other.data()) == nullptr) return skip(UnionForm::aufs, "this user can't write to /dev/shm");
  const std::unique_ptr<const std::string, void (*)(const std::string*)> removed(
      &other, [](const std::string* path) { fs::remove_all(*path); });
  const fs::path tree = scratch.directory("tree"), to = fs::path(other) / "to";
  fs::create_directory(to);
  if (status_of(tree).st_dev == status_of(to).st_dev) return skip(UnionForm::aufs, "there is no other filesystem");
  run_script_in(tree, "mkdir -p d/e; echo 1 > d/a; ln d/a d/e/b; ln -s a d/l; mkfifo p; touch -d @1000.5 d/a d/e d .");
  translate_tree(tree, kernel_form(), to, UnionForm::aufs);
  CHECK(inode_of(to / "d/a") == inode_of(to / "d/e/b"));
  CHECK(difference(tree_text(tree), tree_text(to)) == "");
}

TEST_CASE("what a form can't say is refused by name", "[union_form]") {
  struct Case {
    const char* name;
    std::string script;
    UnionForm from;
    std::string refused_by;  ///< the forms, each with a space behind it
  };
  const std::string overlays = "overlay-trusted overlay-user overlay-xattr-trusted overlay-xattr-user ";
  const std::vector<Case> cases = {
      {"d/.wh.x", "mkdir d; echo 1 > d/.wh.x", kernel_form(), "fuse-overlayfs aufs "},
      {".wh..wh..opq", "mkdir .wh..wh..opq", kernel_form(), "fuse-overlayfs aufs "},
      {"d/x_HIDDEN~", "mkdir d; echo 1 > d/x_HIDDEN~", kernel_form(), "unionfs-fuse "},
      {".unionfs-fuse", "mkdir .unionfs-fuse", kernel_form(), "unionfs-fuse "},
      {"device", "mknod device c 0 0", UnionForm::aufs, overlays + "fuse-overlayfs "},
      {"device", "mknod device c 0 0", UnionForm::unionfs_fuse, overlays + "fuse-overlayfs "},
      {"d", "mkdir d; setfattr -n user.overlay.opaque -v y d", UnionForm::aufs,
       "overlay-user overlay-xattr-user fuse-overlayfs "},
      {"f", "echo 1 > f; setfattr -n user.fuseoverlayfs.note -v y f", UnionForm::aufs, "fuse-overlayfs "},
      {"f", "touch f; setfattr -n user.overlay.redirect -v /a f", UnionForm::overlay_user,
       "overlay-trusted overlay-xattr-trusted fuse-overlayfs aufs unionfs-fuse "},
      {"f", "touch f; setfattr -n user.overlay.metacopy f", UnionForm::overlay_user,
       "overlay-trusted overlay-xattr-trusted fuse-overlayfs aufs unionfs-fuse "},
      {"f", "touch f; setfattr -n user.overlay.overlay.opaque -v y f", UnionForm::overlay_user,
       "overlay-trusted overlay-xattr-trusted fuse-overlayfs aufs unionfs-fuse "},
      {"f", "touch f; setfattr -n user.fuseoverlayfs.override_stat -v 0:0:644 f", UnionForm::fuse_overlayfs,
       overlays + "aufs unionfs-fuse fuse-overlayfs "},
      {"./", "touch .wh..wh..opq", UnionForm::fuse_overlayfs, overlays + "aufs unionfs-fuse fuse-overlayfs "},
      {"d", "mkdir -p .unionfs-fuse/d; touch .unionfs-fuse/d/x_HIDDEN~", UnionForm::unionfs_fuse,
       overlays + "aufs unionfs-fuse fuse-overlayfs "},
      {"LONG", "touch " + std::string(250, 'n'), kernel_form(), "unionfs-fuse "},
  };
  for (const Case& one : cases)
    for (const UnionForm to : all_union_forms) {
      INFO(one.script << ", " << to_string(one.from) << " to " << to_string(to));
      const ScratchDirectory scratch;
      const auto tree = scratch.directory("tree"), made = scratch.directory("made");
      run_script_in(tree, one.script);
      const bool refused = one.refused_by.find(std::string(to_string(to)) + " ") != std::string::npos;
      std::string answer;
      try {
        translate_tree(tree, one.from, made, to);
      } catch (const Error& error) {
        CHECK(error.code() == errc::unsupported);
        answer = error.subject();
      }
      const std::string name = one.name == std::string("LONG") ? std::string(250, 'n') : one.name;
      CHECK(answer == (refused ? quoted(name) : ""));
    }
}

TEST_CASE("a whiteout whose mark would have too long a name is refused by name", "[union_form]") {
  const ScratchDirectory scratch;
  const auto tree = scratch.directory("tree"), made = scratch.directory("made");
  const std::string name(253, 'n');
  REQUIRE(::mknod((tree / name).c_str(), S_IFCHR, 0) == 0);
  for (const UnionForm form : {UnionForm::aufs, UnionForm::unionfs_fuse}) {
    const Error error = error_of([&] { translate_tree(tree, kernel_form(), made, form); });
    CHECK(error.code() == errc::unsupported);
    CHECK(error.subject() == quoted(name));
  }
}

TEST_CASE("a file between two directories parts them in every form", "[union_form]") {
  const ScratchDirectory scratch;
  const Paths stack = {scratch.directory("top"), scratch.directory("middle"), scratch.directory("base")};
  run_script_in(scratch.path(), "mkdir top/d base/d; touch top/d/new middle/d base/d/old");
  const UnionForm form = GENERATE(from_range(all_union_forms));
  INFO(to_string(form));
  if (const std::string why = why_no_attributes(form); !why.empty()) return skip(form, why);
  Paths translated;
  for (const auto& tree : stack) {
    translated.push_back(scratch.directory("translated" + std::to_string(translated.size())));
    translate_tree(tree, kernel_form(), translated.back(), form);
  }
  const auto view = view_of(translated, form);
  CHECK(view.find("d/new"));
  CHECK_FALSE(view.find("d/old"));
  if (!why_no_union(form).empty()) return;
  const std::string seen = in_union({form, translated}, scratch.directory("merged"), tree_text);
  CHECK(difference(shown_by(view_text(view), form), shown_by(seen, form)) == "");
}
