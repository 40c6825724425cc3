#include <strata/diff_writer.hpp>
#include <strata/error.hpp>

#include "support/apply_layer.hpp"
#include "support/catch.hpp"
#include "support/change_list.hpp"
#include "support/private_overlay.hpp"
#include "support/random_changes.hpp"
#include "support/scratch.hpp"
#include "support/tree_text.hpp"

#include <boost/filesystem/fstream.hpp>

#include <cstdlib>

using namespace strata;
using namespace strata::test;
using strata::detail::MergedView;
using Paths = std::vector<boost::filesystem::path>;

namespace {

/// A stack of a base and an upper that a real overlay wrote.
struct Change {
  ScratchDirectory scratch;
  boost::filesystem::path base = scratch.directory("base"), upper = scratch.directory("upper"),
                          work = scratch.directory("work"), merged = scratch.directory("merged");
  std::string options = "redirect_dir=off,metacopy=off,index=off";
  Report report;
  ChangeList told;

  explicit Change(const std::string& before) { run("cd '" + base.native() + "'\n" + before); }

  static void run(const std::string& script) {
    if (std::system(("set -e\n" + script).c_str()) != 0) throw std::runtime_error("failed: " + script);
  }
  bool possible() const { return can_mount_overlay(scratch.path()); }
  void change(const std::string& script) {
    in_overlay({{base}, upper, work, options}, merged, [&](const auto& root) {
      run("cd '" + root.native() + "'\n" + script);
      return std::string();
    });
  }
  /// With the lower root's time on the upper's, so that the root itself is no change.
  const std::string& tell(const detail::ChangeOptions& change_options = {}) {
    run("touch -r '" + base.native() + "' '" + upper.native() + "'");
    const MergedView view({upper, base});
    changes_of_upper(view, view.below(), told, change_options, report);
    return told.text;
  }
};

/// redirect_dir, metacopy and index need trusted.* attributes.
bool may_redirect() {
  if (!is_privileged()) WARN("skipped: this user can't have redirect_dir, metacopy or index");
  return is_privileged();
}

/// A layer tar in memory.
class TarSink final : public detail::ChangeSink {
 public:
  void add(const TarEntry& entry) override { writer_.add(entry); }
  void content(std::span<const std::byte> bytes) override { writer_.content(bytes); }
  void zeros(std::uint64_t size) override {
    const std::vector<std::byte> none(size);
    writer_.content(none);
  }
  std::string take() {
    writer_.finish();
    return sink_.take();
  }

 private:
  MemorySink sink_;
  TarWriter writer_{sink_};
};

std::string written(const boost::filesystem::path& upper, const boost::filesystem::path& work, const Paths& lowers) {
  Paths stack{upper};
  stack.insert(stack.end(), lowers.begin(), lowers.end());
  const MergedView view(stack);
  detail::ChangeOptions options;
  options.index = detail::index_of(work);
  Report report;
  TarSink sink;
  changes_of_upper(view, view.below(), sink, options, report);
  return sink.take();
}

/// Runs random changes on top of `lowers`, writes them as a layer, and applies it to a copy of what was there before.
void round_trip(const ScratchDirectory& scratch, const std::string& name, const Paths& lowers, unsigned seed,
                const std::string& options) {
  const auto upper = scratch.directory("upper" + name), work = scratch.directory("work" + name),
             flat = scratch.directory("flat" + name), merged = scratch.directory("merged");
  const PrivateOverlay below{lowers, {}, {}, options};
  const PrivateOverlay whole{lowers, upper, work, options};
  Paths padded = lowers;
  padded.push_back(scratch.directory("nothing"));
  in_overlay({padded, {}, {}, options}, merged, [&](const auto& root) {
    Change::run("cp -a '" + root.native() + "/.' '" + flat.native() + "'");
    return std::string();
  });
  in_overlay(whole, merged, [&](const auto& root) {
    RandomChanges(root, seed).make(40);
    return std::string();
  });
  // Mounted again: right after a copy-up, names of one file may show two inode numbers (seen with userxattr).
  const std::string expected = in_overlay(whole, merged, [](const auto& root) { return tree_text(root); });
  const std::string tar = written(upper, work, lowers);
  CHECK(tar == written(upper, work, lowers));
  PlainApply(tar, flat).run();
  REQUIRE(difference(expected, tree_text(flat)) == "");
}

}  // namespace

TEST_CASE("an upper tells what changed, parents first and whiteouts before their siblings", "[diff]") {
  Change change("mkdir -p a/b etc; echo 1 > a/b/gone; echo 2 > a/b/kept; echo 3 > a/z; echo 4 > etc/host");
  if (!change.possible()) return;
  change.change("rm a/b/gone; echo 5 > a/b/added; echo 6 > a/b/.hidden; echo 7 >> etc/host");
  CHECK(change.tell() == "a/\na/b/\na/b/.wh.gone\na/b/.hidden\na/b/added\netc/\netc/host\n");
  CHECK(change.report.empty());
}

TEST_CASE("an untouched upper tells nothing", "[diff]") {
  Change change("mkdir -p a/b; echo 1 > a/b/file");
  if (!change.possible()) return;
  change.change("true");
  CHECK(change.tell() == "");
}

TEST_CASE("what was copied up but is identical is no change", "[diff]") {
  Change change(
      "mkdir -p a/b c; echo 1 > a/b/file; echo 2 > c/changed; touch -d '2020-01-01 00:00:00.123456789' a/b/file");
  if (!change.possible()) return;
  change.change("exec 3>> a/b/file; exec 3>&-; chmod 700 c; chmod 755 c");
  REQUIRE(boost::filesystem::exists(change.upper / "a/b/file"));
  REQUIRE(boost::filesystem::exists(change.upper / "c"));
  CHECK(change.tell() == "");
  CHECK(change.told.read == 0);
}

TEST_CASE("an attribute alone is a change", "[diff]") {
  Change change("for d in mode time note; do mkdir $d; echo 1 > $d/file; done");
  if (!change.possible()) return;
  change.change("chmod 600 mode/file; touch -d @5 time/file; setfattr -n user.note -v x note/file");
  CHECK(change.tell() == "mode/\nmode/file\nnote/\nnote/file\ntime/\ntime/file\n");
  CHECK(change.told.entries.back().mtime == Timestamp{5, 0});
}

TEST_CASE("other bytes are found although size and time are the same", "[diff]") {
  Change change("echo one > file; touch -d @1000 file");
  if (!change.possible()) return;
  change.change("echo two > file; touch -d @1000 file");
  CHECK(change.tell() == "file\n");
}

TEST_CASE("an opaque directory is told only where the lower has one", "[diff]") {
  Change change("mkdir -p old/sub; echo 1 > old/file");
  if (!change.possible()) return;
  change.change("rm -r old; mkdir old; echo 2 > old/new; mkdir fresh; echo 3 > fresh/x");
  // An overlay marks what it makes in a directory of its own as opaque, too.
  setxattr((change.upper / "fresh").c_str(), is_privileged() ? "trusted.overlay.opaque" : "user.overlay.opaque", "y", 1,
           0);
  CHECK(change.tell() == "fresh/\nfresh/x\nold/\nold/.wh..wh..opq\nold/new\n");
}

TEST_CASE("a file that replaces a directory needs no whiteout, nor does a directory a file", "[diff]") {
  Change change("mkdir -p d/sub; echo 1 > f");
  if (!change.possible()) return;
  change.change("rm -r d; echo 1 > d; rm f; mkdir f; echo 2 > f/x");
  CHECK(change.tell() == "d\nf/\nf/x\n");
}

TEST_CASE("whiteouts that hide nothing are left out", "[diff]") {
  Change change("echo 1 > real");
  for (const char* name : {"real", "never"}) REQUIRE(::mknod((change.upper / name).c_str(), S_IFCHR, 0) == 0);
  CHECK(change.tell() == ".wh.real\n");
}

TEST_CASE("a renamed lower directory is told whole at its new name", "[diff]") {
  Change change("mkdir -p p/old/sub; echo 1 > p/old/sub/deep; echo 2 > p/old/f; mkdir q");
  if (!change.possible() || !may_redirect()) return;
  change.options = "redirect_dir=on,metacopy=on,index=off";
  change.change("mv p/old q/new; echo 3 > q/new/more; chmod 600 q/new/f");
  CHECK(boost::filesystem::exists(change.upper / "q/new/more"));
  CHECK_FALSE(boost::filesystem::exists(change.upper / "q/new/sub"));
  CHECK(change.tell() == "p/\np/.wh.old\nq/\nq/new/\nq/new/f\nq/new/more\nq/new/sub/\nq/new/sub/deep\n");
  CHECK(change.told.read == 6);
}

TEST_CASE("a metacopy file is told with its content", "[diff]") {
  Change change("echo content > f");
  if (!change.possible() || !may_redirect()) return;
  change.options = "redirect_dir=on,metacopy=on,index=off";
  change.change("chmod 640 f");
  REQUIRE(::getxattr((change.upper / "f").c_str(), "trusted.overlay.metacopy", nullptr, 0) >= 0);
  change.tell();
  REQUIRE(change.told.entries.back().path == "f");
  CHECK(change.told.entries.back().mode == 0640);
  CHECK(change.told.entries.back().size == 8);
  CHECK(change.told.read == 8);
}

TEST_CASE("names of one file come as hardlinks to the first of them", "[diff]") {
  Change change("mkdir d; echo 1 > d/x");
  if (!change.possible()) return;
  change.change("ln d/x d/y; ln d/x a; ln -s nowhere l; ln l d/l");
  CHECK(change.tell() == "a\nd/\nd/l -> nowhere\nd/x = a\nd/y = a\nl = d/l\n");
}

TEST_CASE("names that index=on keeps together are told together", "[diff]") {
  Change change("mkdir d e; echo 1 > d/a; ln d/a e/b; ln d/a c; echo 2 > other; ln other other2");
  if (!change.possible() || !may_redirect()) return;
  change.options = "redirect_dir=on,metacopy=off,index=on";
  change.change("echo 3 >> d/a; mv c c2");
  CHECK(change.tell() == ".wh.c\nc2\nd/\nd/a = c2\ne/\ne/b = c2\n");
}

TEST_CASE("a file that index=on keeps without a name in the upper is found in the index", "[diff]") {
  Change change("mkdir d e; echo 1 > d/a; ln d/a e/b; ln d/a e/c");
  if (!change.possible() || !may_redirect()) return;
  change.options = "redirect_dir=off,metacopy=off,index=on";
  change.change("echo 2 >> d/a; rm d/a");
  detail::ChangeOptions options;
  options.index = detail::index_of(change.work);
  REQUIRE(options.index);
  CHECK(change.tell(options) == "d/\nd/.wh.a\ne/\ne/b\ne/c = e/b\n");
  CHECK(change.told.read == 4);
}

TEST_CASE("a name that reads as a whiteout is refused", "[diff]") {
  Change change("mkdir d");
  boost::filesystem::create_directory(change.upper / "d");
  boost::filesystem::ofstream(change.upper / "d" / ".wh.x") << "x";
  try {
    change.tell();
    FAIL("told");
  } catch (const Error& error) {
    CHECK(error.code() == errc::refused);
    CHECK_THAT(error.what(), Catch::Contains("d/.wh.x"));
  }
}

TEST_CASE("holes are told without being read", "[diff]") {
  Change change("true");
  boost::filesystem::ofstream(change.upper / "f") << "begin";
  boost::filesystem::resize_file(change.upper / "f", 64 << 20);
  change.tell();
  CHECK(change.told.read + change.told.holes == 64 << 20);
  CHECK(change.told.read < 1 << 20);
}

TEST_CASE("overlay's own attributes are left out, those of an inner overlay with a report", "[diff]") {
  const std::string prefix = is_privileged() ? "trusted.overlay." : "user.overlay.";
  Change change("true");
  boost::filesystem::create_directory(change.upper / "d");
  for (const std::string& name : {prefix + "origin", prefix + "impure", prefix + "overlay.opaque"})
    REQUIRE(::setxattr((change.upper / "d").c_str(), name.c_str(), "y", 1, 0) == 0);
  change.tell();
  CHECK(change.told.entries.back().xattrs.empty());
  REQUIRE(change.report.total() == 1);
  CHECK(change.report.events()[0].rule == "D5");
  CHECK(change.report.events()[0].path == "d/");
}

TEST_CASE("the root is compared with the attributes that the caller names", "[diff]") {
  Change change("true");
  REQUIRE(::chmod(change.upper.c_str(), 0755) == 0);
  REQUIRE(::chmod(change.base.c_str(), 0755) == 0);
  detail::ChangeOptions options;
  options.lower_root.emplace();
  options.lower_root->metadata = detail::stat_of(detail::open_directory(change.base).get());
  SECTION("equal") { CHECK(change.tell(options) == ""); }
  SECTION("another time") {
    options.lower_root->metadata.mtime = {1, 0};
    CHECK(change.tell(options) == "./\n");
  }
  SECTION("any time") {
    options.lower_root->metadata.mtime = {1, 0};
    options.lower_root->any_time = true;
    CHECK(change.tell(options) == "");
  }
  SECTION("another mode") {
    options.lower_root->metadata.mode = S_IFDIR | 0700;
    CHECK(change.tell(options) == "./\n");
  }
}

TEST_CASE("an upper without lowers is told whole, its root first", "[diff]") {
  const ScratchDirectory scratch;
  boost::filesystem::create_directories(scratch.path() / "u" / "d");
  const MergedView view({scratch.path() / "u"});
  ChangeList told;
  Report report;
  changes_of_upper(view, view.below(), told, {}, report);
  CHECK(told.text == "./\nd/\n");
}

TEST_CASE("a stop token ends a diff", "[diff]") {
  Change change("true");
  boost::filesystem::create_directory(change.upper / "d");
  std::stop_source stop;
  stop.request_stop();
  detail::ChangeOptions options;
  options.control.stop = stop.get_token();
  try {
    change.tell(options);
    FAIL("told");
  } catch (const Error& error) {
    CHECK(error.code() == errc::cancelled);
  }
}

TEST_CASE("a layer from a random upper makes the merged view of what was below", "[diff]") {
  const ScratchDirectory scratch;
  if (!can_mount_overlay(scratch.path())) return;
  const std::string options =
      GENERATE(as<std::string>(), "redirect_dir=off,metacopy=off,index=off", "redirect_dir=on,metacopy=on,index=off",
               "redirect_dir=on,metacopy=off,index=on");
  CAPTURE(options);
  for (unsigned seed = 0; seed < 5; ++seed) {
    CAPTURE(seed);
    const std::string name = std::to_string(seed);
    const auto base = scratch.directory("base" + name), middle = scratch.directory("middle" + name);
    RandomChanges(base, seed).make(60);
    in_overlay({{base}, middle, scratch.directory("work-middle" + name), options}, scratch.directory("merged"),
               [&](const auto& root) {
                 RandomChanges(root, 1000 + seed).make(40);
                 return std::string();
               });
    // A lower that was indexed shows files that only its work directory knows.
    const bool indexed = options.find("index=on") != std::string::npos;
    round_trip(scratch, name, indexed ? Paths{base} : Paths{middle, base}, 2000 + seed, options);
  }
}
