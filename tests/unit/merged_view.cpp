#include "tree/merged_view.hpp"

#include <strata/error.hpp>

#include "support/catch.hpp"
#include "support/private_overlay.hpp"
#include "support/random_changes.hpp"
#include "support/scratch.hpp"
#include "support/view_text.hpp"

#include <sys/resource.h>

#include <fstream>

using strata::detail::MergedView;
using Paths = std::vector<boost::filesystem::path>;

namespace {

const std::string prefix = strata::test::is_privileged() ? "trusted.overlay." : "user.overlay.";

void make(const boost::filesystem::path& path, const std::string& content = {}) {
  boost::filesystem::create_directories(path.parent_path());
  std::ofstream(path.native(), std::ios::binary) << content;
}
void mark(const boost::filesystem::path& path, const std::string& name, const std::string& value) {
  const std::string attribute = prefix + name;
  INFO(path << " " << attribute);
  REQUIRE(::lsetxattr(path.c_str(), attribute.c_str(), value.data(), value.size(), 0) == 0);
}
/// A device as root; an ordinary user may make one on his own only since Linux 5.8, which is older than anything here.
void whiteout(const boost::filesystem::path& path) {
  boost::filesystem::create_directories(path.parent_path());
  REQUIRE(::mknod(path.c_str(), S_IFCHR, 0) == 0);
}

std::string names(const MergedView& view, const std::string& path) {
  std::string all;
  for (const auto& [name, entry] : view.list(view.find(path).value())) all += name + " ";
  return all;
}

std::string content(const MergedView& view, const std::string& path) {
  char buffer[100];
  strata::detail::Metadata now;
  const auto fd = view.open_data(view.find(path).value(), now);
  const ssize_t size = ::read(fd.get(), buffer, sizeof buffer);
  return std::string(buffer, static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
}

/// What the kernel shows of the same stack.
std::string kernel_text(const strata::test::ScratchDirectory& scratch, const Paths& stack) {
  const Paths lowers = stack.size() == 1 ? Paths{stack[0], scratch.directory("nothing")} : stack;
  return strata::test::in_overlay({lowers, {}, {}, prefix[0] == 't' ? "redirect_dir=follow,metacopy=off" : ""},
                                  scratch.directory("merged"),
                                  [](const auto& merged) { return strata::test::tree_text(merged); });
}

}  // namespace

TEST_CASE("a whiteout hides what is below it", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top"), base = scratch.directory("base");
  make(base / "d" / "kept", "k");
  make(base / "d" / "gone", "g");
  make(base / "dir" / "x", "x");
  whiteout(top / "d" / "gone");
  whiteout(top / "dir");
  const MergedView view({top, base});
  CHECK(names(view, "") == "d ");
  CHECK(names(view, "d") == "kept ");
  CHECK_FALSE(view.find("d/gone"));
  CHECK_FALSE(view.find("dir/x"));
  CHECK(content(view, "d/kept") == "k");
}

TEST_CASE("an empty file with the whiteout attribute hides what is below it", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top"), base = scratch.directory("base");
  make(base / "d" / "gone", "g");
  make(base / "d" / "full", "g");
  make(top / "d" / "gone");
  make(top / "d" / "full", "content");
  mark(top / "d", "opaque", "x");
  mark(top / "d" / "gone", "whiteout", "y");
  mark(top / "d" / "full", "whiteout", "y");
  const MergedView view({top, base});
  CHECK(names(view, "d") == "full ");
  CHECK_FALSE(view.find("d/gone"));
  CHECK(content(view, "d/full") == "content");
  // The root must carry the mark as well, for the kernel to read it.
  mark(top, "opaque", "x");
  if (strata::test::can_mount_overlay(scratch.path()))
    CHECK(strata::test::difference(strata::test::view_text(view), kernel_text(scratch, {top, base})) == "");
}

TEST_CASE("an opaque directory hides what is below it, and only the value y makes one", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top"), base = scratch.directory("base");
  for (const char* name : {"opaque", "yes", "merged"}) {
    make(base / name / "old");
    make(top / name / "new");
  }
  mark(top / "opaque", "opaque", "y");
  mark(top / "yes", "opaque", "yes");
  const MergedView view({top, base});
  CHECK(names(view, "opaque") == "new ");
  CHECK(view.find("opaque")->opaque);
  CHECK(names(view, "yes") == "new old ");
  CHECK(names(view, "merged") == "new old ");
  CHECK_FALSE(view.find("merged")->opaque);
  if (strata::test::can_mount_overlay(scratch.path()))
    CHECK(strata::test::difference(strata::test::view_text(view), kernel_text(scratch, {top, base})) == "");
}

TEST_CASE("a file between two directories parts them", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top"), middle = scratch.directory("middle"), base = scratch.directory("base");
  make(base / "d" / "old");
  make(middle / "d", "file");
  make(top / "d" / "new");
  const MergedView view({top, middle, base});
  CHECK(names(view, "d") == "new ");
  CHECK(view.find("d")->places.size() == 1);
}

TEST_CASE("only the chosen namespace of marks counts", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top"), base = scratch.directory("base");
  make(base / "d" / "old");
  make(top / "d" / "new");
  REQUIRE(::setxattr((top / "d").c_str(), "user.overlay.opaque", "y", 1, 0) == 0);
  CHECK(names(MergedView({top, base}, MergedView::Marks::user), "d") == "new ");
  CHECK(names(MergedView({top, base}), "d") == "new ");
  const MergedView trusted({top, base}, MergedView::Marks::trusted);
  CHECK(names(trusted, "d") == "new old ");
  CHECK(trusted.xattrs(trusted.find("d").value()).contains("user.overlay.opaque"));
}

TEST_CASE("a plain directory has no marks", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top");
  whiteout(top / "device");
  make(top / "d" / "x");
  mark(top / "d", "opaque", "y");
  const MergedView view({top}, MergedView::Marks::none);
  CHECK(names(view, "") == "d device ");
  CHECK(view.xattrs(view.find("d").value()).contains(prefix + "opaque"));
}

TEST_CASE("attributes that an inner overlay had to escape are unescaped by one level", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top");
  make(top / "d" / "x");
  mark(top / "d", "overlay.opaque", "y");
  mark(top / "d", "overlay.redirect", "r");
  mark(top / "d", "overlay.overlay.z", "z");
  mark(top / "d", "origin", "o");
  const MergedView view({top});
  const strata::Xattrs expected{{prefix + "opaque", "y"}, {prefix + "redirect", "r"}, {prefix + "overlay.z", "z"}};
  CHECK(view.xattrs(view.find("d").value()) == expected);
}

TEST_CASE("a redirect that is neither a name nor a path is damage", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top"), base = scratch.directory("base");
  make(base / "d" / "x");
  make(top / "e" / "x");
  const std::string target = GENERATE("", "a/b", "/", "/a/../b", "..", "/a//b", "/a/");
  CAPTURE(target);
  mark(top / "e", "redirect", target);
  const MergedView view({top, base});
  CHECK_THROWS_WITH(view.find("e"), Catch::Contains("redirect") && Catch::Contains("e'"));
}

TEST_CASE("a metacopy file without data below it is damage", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top"), base = scratch.directory("base");
  make(top / "f", "12345");
  mark(top / "f", "metacopy", "");
  try {
    MergedView({top, base}).find("f");
    FAIL("found");
  } catch (const strata::Error& error) {
    CHECK(error.code() == strata::errc::damaged);
  }
}

TEST_CASE("a redirected directory is merged with what lies at its old name", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top"), middle = scratch.directory("middle"), base = scratch.directory("base");
  make(base / "p" / "old" / "sub" / "deep", "d");
  make(base / "p" / "new" / "wrong", "w");
  make(middle / "p" / "old" / "m", "m");
  make(top / "p" / "new" / "n", "n");
  mark(top / "p" / "new", "redirect", "old");
  whiteout(top / "p" / "old");
  make(top / "elsewhere" / "moved" / "t", "t");
  mark(top / "elsewhere" / "moved", "redirect", "/p/old/sub");
  const MergedView view({top, middle, base});
  CHECK(names(view, "p") == "new ");
  CHECK(names(view, "p/new") == "m n sub ");
  CHECK(names(view, "elsewhere/moved") == "deep t ");
  CHECK(content(view, "p/new/sub/deep") == "d");
  if (strata::test::is_privileged() && strata::test::can_mount_overlay(scratch.path()))
    CHECK(strata::test::difference(strata::test::view_text(view), kernel_text(scratch, {top, middle, base})) == "");
}

TEST_CASE("symlinks are not followed", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  const auto top = scratch.directory("top");
  make(top / "d" / "x", "x");
  boost::filesystem::create_symlink("d", top / "link");
  const MergedView view({top});
  CHECK_FALSE(view.find("link/x"));
  CHECK(view.link_target(view.find("link").value()) == "d");
  CHECK_FALSE(view.find("d/../d/x"));
  CHECK_FALSE(view.find("d/x/y"));
  CHECK_FALSE(view.find(std::string(300, 'n')));
}

TEST_CASE("an empty view has nothing", "[merged_view]") {
  CHECK_FALSE(MergedView().root());
  CHECK_FALSE(MergedView().find("a"));
}

TEST_CASE("five hundred directories need no more than the usual thousand descriptors", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  Paths stack;
  for (int i = 0; i < 500; ++i) {
    stack.push_back(scratch.directory("l" + std::to_string(i)));
    make(stack.back() / "deep" / "er" / ("f" + std::to_string(i)), std::to_string(i));
    make(stack.back() / "deep" / "er" / "same", std::to_string(i));
  }
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit usual{1024, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &usual) == 0);
  const MergedView view(stack), second(stack);
  CHECK(view.list(view.find("deep/er").value()).size() == 501);
  CHECK(content(view, "deep/er/same") == "0");
  CHECK(content(view, "deep/er/f499") == "499");
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

TEST_CASE("random stacks look as the kernel shows them", "[merged_view]") {
  const strata::test::ScratchDirectory scratch;
  if (!strata::test::can_mount_overlay(scratch.path())) return;
  const bool redirects = GENERATE(false, true);
  for (unsigned seed = 0; seed < 6; ++seed) {
    const auto at = [&](const char* kind, int i) {
      return scratch.directory(kind + std::to_string(seed) + "-" + std::to_string(i) + (redirects ? "r" : ""));
    };
    Paths stack{at("layer", 0)};
    strata::test::RandomChanges(stack[0], seed).make(60);
    for (int i = 1; i < 5; ++i) {
      const auto upper = at("layer", i);
      strata::test::in_overlay(
          {stack, upper, at("work", i),
           redirects ? "redirect_dir=on,metacopy=on,index=off" : "redirect_dir=off,metacopy=off,index=off"},
          scratch.directory("merged"), [&](const auto& merged) {
            strata::test::RandomChanges(merged, seed * 100 + static_cast<unsigned>(i)).make(40);
            return std::string();
          });
      stack.insert(stack.begin(), upper);
      CAPTURE(seed, i);
      const MergedView view(stack);
      const std::string options = !strata::test::is_privileged() ? "" : redirects ? "redirect_dir=on,metacopy=on" : "";
      const std::string kernel =
          strata::test::in_overlay({stack, {}, {}, options}, scratch.directory("merged"),
                                   [](const auto& merged) { return strata::test::tree_text(merged); });
      REQUIRE(strata::test::difference(strata::test::view_text(view), kernel) == "");
    }
  }
}
