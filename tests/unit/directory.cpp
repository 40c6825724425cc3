#include "tree/directory.hpp"

#include <strata/error.hpp>

#include "support/catch.hpp"
#include "support/scratch.hpp"

#include <boost/filesystem/fstream.hpp>

#include <dirent.h>

#include <cstdlib>

using namespace strata;
using namespace strata::detail;
using strata::test::ScratchDirectory;

namespace {

void put(const boost::filesystem::path& path, const std::string& text = {}) {
  boost::filesystem::create_directories(path.parent_path());
  boost::filesystem::ofstream(path) << text;
}

/// A chain of directories longer than any path, made step by step; returns its path.
std::string make_deep(const boost::filesystem::path& root, int depth) {
  const std::string name(30, 'd');
  std::string path;
  FileDescriptor at = open_directory(root);
  for (int i = 0; i < depth; ++i) {
    REQUIRE(sys::mkdirat(at.get(), name.c_str(), 0755) == 0);
    at = open_beneath(at.get(), name, O_RDONLY | O_DIRECTORY);
    path += (path.empty() ? "" : "/") + name;
  }
  return path;
}

}  // namespace

TEST_CASE("a path is opened beneath a directory, and never through a symlink", "[directory]") {
  const ScratchDirectory scratch;
  put(scratch.path() / "a" / "b" / "f", "x");
  boost::filesystem::create_symlink("a", scratch.path() / "link");
  boost::filesystem::create_symlink("/etc/passwd", scratch.path() / "a" / "leaf");
  const FileDescriptor dir = open_directory(scratch.path());
  CHECK(try_open_beneath(dir.get(), "a/b/f", O_RDONLY));
  CHECK(try_open_beneath(dir.get(), "", O_RDONLY | O_DIRECTORY));
  CHECK(try_open_beneath(dir.get(), ".", O_RDONLY | O_DIRECTORY));
  CHECK_FALSE(try_open_beneath(dir.get(), "link/b/f", O_RDONLY));
  CHECK_FALSE(try_open_beneath(dir.get(), "link", O_RDONLY | O_DIRECTORY));
  CHECK_FALSE(try_open_beneath(dir.get(), "a/leaf", O_RDONLY));
  CHECK_FALSE(try_open_beneath(dir.get(), "a/leaf", O_PATH));
  CHECK(stat_of(open_beneath(dir.get(), "a/leaf", O_PATH | O_NOFOLLOW).get()).is_symlink());
  CHECK_FALSE(try_open_beneath(dir.get(), "a/b/f/x", O_RDONLY));
  CHECK_FALSE(try_open_beneath(dir.get(), "missing/x", O_RDONLY));
  CHECK_FALSE(try_open_beneath(dir.get(), std::string(300, 'n'), O_RDONLY));
  CHECK_THROWS_AS(try_open_beneath(dir.get(), "a/../a/b", O_RDONLY), Error);
  CHECK_THROWS_AS(try_open_beneath(dir.get(), "..", O_RDONLY), Error);
  try {
    open_beneath(dir.get(), "a/none", O_RDONLY, "/shown");
    FAIL("opened");
  } catch (const Error& error) {
    CHECK(error.code() == errc::not_found);
    CHECK_THAT(error.what(), Catch::Contains("'/shown/a/none'"));
  }
}

TEST_CASE("a path may be longer than PATH_MAX", "[directory]") {
  const ScratchDirectory scratch;
  const std::string path = make_deep(scratch.path(), 200);
  REQUIRE(path.size() > 4096);
  const FileDescriptor dir = open_directory(scratch.path());
  CHECK(try_open_beneath(dir.get(), path, O_RDONLY | O_DIRECTORY));
  CHECK_FALSE(try_open_beneath(dir.get(), path + "/none", O_RDONLY));
  remove_tree(dir.get(), std::string(30, 'd'));
}

TEST_CASE("without openat2 the same is true", "[directory]") {
  if (std::getenv("STRATA_NO_OPENAT2")) return;
  const std::string self = boost::filesystem::read_symlink("/proc/self/exe").native();
  const std::string command = "STRATA_NO_OPENAT2=1 '" + self + "' '[directory]' > /dev/null";
  CHECK(std::system(command.c_str()) == 0);
}

TEST_CASE("a directory is listed sorted by bytes, again and again", "[directory]") {
  const ScratchDirectory scratch;
  for (int i = 0; i < 3000; ++i) put(scratch.path() / ("n" + std::to_string(i)));
  put(scratch.path() / "\xff");
  boost::filesystem::create_directory(scratch.path() / ".d");
  const FileDescriptor dir = open_directory(scratch.path());
  for (int i = 0; i < 2; ++i) {
    const auto entries = list_directory(dir.get());
    REQUIRE(entries.size() == 3002);
    CHECK(entries.front().name == ".d");
    CHECK((entries.front().type == DT_DIR || entries.front().type == DT_UNKNOWN));
    CHECK(entries.back().name == "\xff");
    CHECK(std::is_sorted(entries.begin(), entries.end(), [](auto& a, auto& b) { return a.name < b.name; }));
  }
}

TEST_CASE("an entry is looked at without being followed", "[directory]") {
  const ScratchDirectory scratch;
  put(scratch.path() / "f", "12345");
  const std::string target(3000, 't');
  boost::filesystem::create_symlink(target, scratch.path() / "link");
  const FileDescriptor dir = open_directory(scratch.path());
  CHECK(try_stat(dir.get(), "f")->size == 5);
  CHECK(try_stat(dir.get(), "link")->is_symlink());
  CHECK(read_link(dir.get(), "link") == target);
  CHECK_FALSE(try_stat(dir.get(), "none"));
  CHECK_FALSE(try_stat(dir.get(), std::string(256, 'n')));
  CHECK_THROWS_WITH(read_link(dir.get(), "f", "/shown"), Catch::Contains("'/shown/f'"));
}

TEST_CASE("attributes are read of anything, by name and by descriptor", "[directory]") {
  const ScratchDirectory scratch;
  put(scratch.path() / "f");
  const std::string large(3000, 'v');
  const std::string file = (scratch.path() / "f").native();
  REQUIRE(::setxattr(file.c_str(), "user.large", large.data(), large.size(), 0) == 0);
  REQUIRE(::setxattr(file.c_str(), "user.empty", "", 0, 0) == 0);
  REQUIRE(::setxattr(scratch.path().c_str(), "user.dir", "d", 1, 0) == 0);
  boost::filesystem::create_symlink("f", scratch.path() / "link");
  const FileDescriptor dir = open_directory(scratch.path());
  const Xattrs expected{{"user.empty", ""}, {"user.large", large}};
  CHECK(read_xattrs(dir.get(), "f") == expected);
  CHECK(read_xattrs(open_beneath(dir.get(), "f", O_RDONLY).get(), "") == expected);
  CHECK(read_xattrs(dir.get(), "link").empty());
  CHECK(read_xattrs(dir.get(), "") == Xattrs{{"user.dir", "d"}});
  CHECK(read_xattrs(open_beneath(dir.get(), "", O_PATH | O_DIRECTORY).get(), "") == Xattrs{{"user.dir", "d"}});
  CHECK(read_xattr(dir.get(), "f", "user.large") == large);
  CHECK_FALSE(read_xattr(dir.get(), "f", "user.none"));
  CHECK_THROWS_AS(read_xattrs(dir.get(), "none"), Error);
}

TEST_CASE("overlay's own attributes are known by their names", "[directory]") {
  CHECK(is_overlay_xattr("trusted.overlay.opaque"));
  CHECK(is_overlay_xattr("user.overlay.overlay.x"));
  CHECK_FALSE(is_overlay_xattr("user.overlays"));
  CHECK_FALSE(is_overlay_xattr("security.overlay.x"));
}

TEST_CASE("a tree is deleted, whatever its modes, links and depth", "[directory]") {
  const ScratchDirectory scratch;
  const auto top = scratch.directory("top"), other = scratch.directory("other");
  put(other / "kept");
  put(top / "shut" / "in" / "f");
  boost::filesystem::create_directory_symlink(other, top / "link");
  boost::filesystem::create_directory_symlink(other, top / "shut" / "link");
  make_deep(top, 2000);
  ::chmod((top / "shut" / "in").c_str(), 0);
  ::chmod((top / "shut").c_str(), 0500);
  const FileDescriptor dir = open_directory(scratch.path());
  remove_tree(dir.get(), "top");
  CHECK_FALSE(boost::filesystem::exists(top));
  CHECK(boost::filesystem::exists(other / "kept"));
  remove_tree(dir.get(), "top");
  boost::filesystem::create_directory_symlink(other, scratch.path() / "link");
  remove_tree(dir.get(), "link");
  CHECK_FALSE(boost::filesystem::exists(boost::filesystem::symlink_status(scratch.path() / "link")));
  CHECK(boost::filesystem::exists(other / "kept"));
}
