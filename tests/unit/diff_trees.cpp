#include <strata/diff_writer.hpp>
#include <strata/error.hpp>

#include "support/apply_layer.hpp"
#include "support/catch.hpp"
#include "support/change_list.hpp"
#include "support/random_changes.hpp"
#include "support/scratch.hpp"
#include "support/tree_text.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>

using namespace strata;
using namespace strata::test;
using strata::detail::MergedView;

namespace {

void run(const std::string& script) {
  if (std::system(("set -e\n" + script).c_str()) != 0) throw std::runtime_error("failed: " + script);
}

/// Two trees: the first made by a script, the second a true copy of it that another script changes.
struct Trees {
  ScratchDirectory scratch;
  boost::filesystem::path older = scratch.directory("older"), newer = scratch.path() / "newer";
  Report report;
  ChangeList told;

  explicit Trees(const std::string& before) {
    run("cd '" + older.native() + "'\n" + before);
    run("cp -a '" + older.native() + "' '" + newer.native() + "'");
  }
  void change(const std::string& script) { run("cd '" + newer.native() + "'\n" + script); }
  /// With the older root's time on the newer one, so that the root itself is no change.
  const std::string& tell(const detail::ChangeOptions& options = {}) {
    run("touch -r '" + older.native() + "' '" + newer.native() + "'");
    const MergedView before({older}, MergedView::Marks::none), after({newer}, MergedView::Marks::none);
    changes_between(before, after, told, options, report);
    return told.text;
  }
};

}  // namespace

TEST_CASE("equal trees have no changes", "[diff]") {
  Trees trees("mkdir -p a/b; echo 1 > a/b/f; ln a/b/f a/g; ln -s x l; mkfifo p; setfattr -n user.note -v v a");
  CHECK(trees.tell() == "");
}

TEST_CASE("trees are told with whiteouts before siblings, and parents of a change", "[diff]") {
  Trees trees("mkdir -p a/b c/d; echo 1 > a/b/f; echo 2 > c/d/f; echo 3 > z; mkdir gone; echo 4 > gone/x");
  trees.change("rm -r gone; rm a/b/f; echo 5 > a/new; echo 6 > c/d/f");
  CHECK(trees.tell() == ".wh.gone\na/\na/b/\na/b/.wh.f\na/new\nc/\nc/d/\nc/d/f\n");
}

TEST_CASE("a directory's time alone is a change", "[diff]") {
  Trees trees("mkdir -p a/b");
  trees.change("touch -d @1 a/b");
  CHECK(trees.tell() == "a/\na/b/\n");
}

TEST_CASE("the same size and time with other bytes is a change, with the same bytes none", "[diff]") {
  Trees trees("echo one > f; echo two > g; touch -d @1000 f g");
  trees.change("echo 111 > f; echo two > g; touch -d @1000 f g");
  CHECK(trees.tell() == "f\n");
}

TEST_CASE("a file that lost or gained a name is told with all its names", "[diff]") {
  Trees trees("mkdir d; echo 1 > d/x; ln d/x d/y; echo 2 > a; echo 3 > p; ln p q; touch -d @1 d a d/x p");
  SECTION("gained") {
    trees.change("ln a d/a2; touch -d @1 d a");
    CHECK(trees.tell() == "a\nd/\nd/a2 = a\n");
  }
  SECTION("lost: what remains is one file, alone") {
    trees.change("cp -p p p2; mv p2 p");
    CHECK(trees.tell() == "p\nq\n");
  }
  SECTION("the group was split in two of the same content") {
    trees.change("cp -p d/x d/t; mv d/t d/x; touch -d @1 d");
    CHECK(trees.tell() == "d/\nd/x\nd/y\n");
  }
}

TEST_CASE("sockets and devices 0:0 are left out and reported, and what they replaced is deleted", "[diff]") {
  Trees trees("echo 1 > s; echo 2 > w");
  trees.change("rm s w");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = (trees.newer / "s").native();
  REQUIRE(path.size() < sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  ::close(fd);
  REQUIRE(::mknod((trees.newer / "w").c_str(), S_IFCHR, 0) == 0);
  CHECK(trees.tell() == ".wh.s\n.wh.w\n");
  REQUIRE(trees.report.total() == 2);
  CHECK(trees.report.events()[0].rule == "D11");
  CHECK(trees.report.events()[0].path == "s");
}

TEST_CASE("times after the latest are told as it, others to the nanosecond", "[diff]") {
  Trees trees("true");
  trees.change("touch -d @100.123456789 early; touch -d @300.5 late; touch -d @200.000000001 edge");
  detail::ChangeOptions options;
  options.latest_time = 200;
  trees.tell(options);
  REQUIRE(trees.told.entries.size() == 3);
  CHECK(trees.told.entries[0].mtime == Timestamp{100, 123456789});
  CHECK(trees.told.entries[1].mtime == Timestamp{200, 0});
  CHECK(trees.told.entries[2].mtime == Timestamp{200, 0});
}

TEST_CASE("a file that can't be read ends the diff", "[diff]") {
  Trees trees("true");
  trees.change("echo 1 > secret; chmod 0 secret; echo 2 > aaa");
  if (::access((trees.newer / "secret").c_str(), R_OK) == 0) {
    WARN("skipped: this user may read anything");
    return;
  }
  CHECK_THROWS_WITH(trees.tell(), Catch::Contains("secret"));
}

TEST_CASE("a file that grows while it is read ends the diff and is named", "[diff]") {
  Trees trees("true");
  trees.change("echo 1 > log");
  struct Growing final : detail::ChangeSink {
    boost::filesystem::path file;
    void add(const TarEntry&) override {}
    void content(std::span<const std::byte>) override { run("echo more >> '" + file.native() + "'"); }
    void zeros(std::uint64_t) override {}
  } sink;
  sink.file = trees.newer / "log";
  const MergedView before({trees.older}, MergedView::Marks::none), after({trees.newer}, MergedView::Marks::none);
  Report report;
  CHECK_THROWS_WITH(changes_between(before, after, sink, {}, report),
                    Catch::Contains("log") && Catch::Contains("grew"));
}

TEST_CASE("access control lists are kept", "[diff]") {
  Trees trees("true");
  trees.change("echo 1 > f");
  if (std::system(("setfacl -m u:1:rw '" + (trees.newer / "f").native() + "' 2>/dev/null").c_str()) != 0) {
    WARN("skipped: this filesystem or user can't set them");
    return;
  }
  trees.tell();
  CHECK(trees.told.entries.at(0).xattrs.contains("system.posix_acl_access"));
}

TEST_CASE("a tree deeper than one path can say is told", "[diff]") {
  Trees trees("true");
  constexpr int depth = 300;
  const std::string name(20, 'n');
  // 6300 bytes; the shell goes down one directory at a time.
  trees.change("i=0; while [ $i -lt 300 ]; do mkdir " + name + "; cd -P ./" + name +
               " 2>/dev/null; i=$((i+1)); done; echo deep > file");
  trees.tell();
  CHECK(trees.told.entries.size() == depth + 1);
  CHECK(trees.told.read == 5);
}

TEST_CASE("a layer between random trees makes the newer of the older", "[diff]") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const ScratchDirectory scratch;
    const auto older = scratch.directory("older");
    const std::string newer = (scratch.path() / "newer").native();
    RandomChanges(older, seed).make(80);
    run("cp -a '" + older.native() + "' '" + newer + "'");
    RandomChanges(newer, 1000 + seed).make(40);
    MemorySink sink;
    const DiffResult result = DiffWriter<Sha256, Uncompressed>().write_trees(older, newer, sink);
    CHECK(result.tar_size == sink.text().size());
    PlainApply(sink.text(), older).run();
    REQUIRE(difference(tree_text(newer), tree_text(older)) == "");
  }
}
