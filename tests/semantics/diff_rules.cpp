// The rules of diff (docs/semantics.md), a case or more for each, named by the rule. Of every case the layer is
// written twice, which must give the same bytes (D14), proved (D16), and applied onto what was there before, which must
// give what is there now, in every attribute: from an upper directory what the kernel's overlay shows, and from two
// trees the newer one.

#include "support/catch.hpp"
#include "support/layer_entries.hpp"
#include "support/tree_changes.hpp"
#include "support/tree_text.hpp"

#include <strata/apply.hpp>
#include <strata/diff_writer.hpp>
#include <strata/error.hpp>
#include <strata/tar.hpp>

#include <boost/filesystem/fstream.hpp>

#include <sys/socket.h>
#include <sys/un.h>

#include <functional>

using namespace strata;
using namespace strata::test;
using strata::detail::MergedView;

namespace {

using Writer = DiffWriter<Sha256, Uncompressed>;

enum class From { both, upper, trees };

struct Case {
  const char* rule;
  const char* before;  ///< a script that makes the lower tree
  const char* change;  ///< one that changes it
  const char* layer;   ///< the entries in order, as ChangeList tells them
  From from = From::both;
  const char* options = "";  ///< of the mount, that only root of the first user namespace may give
};

const std::vector<Case> cases = {
    {"D2 explicit whiteouts come before their siblings",
     "mkdir -p a/b etc; echo 1 > a/b/gone; echo 2 > a/b/kept; echo 3 > a/z; echo 4 > etc/host",
     "rm a/b/gone; echo 5 > a/b/added; echo 6 > a/b/.hidden; echo 7 >> etc/host",
     "a/\na/b/\na/b/.wh.gone\na/b/.hidden\na/b/added\netc/\netc/host\n"},
    {"D2 one whiteout for a directory with all that was in it", "mkdir -p gone/sub; echo 4 > gone/sub/x; mkfifo p",
     "rm -r gone p; echo 5 > a", ".wh.gone\n.wh.p\na\n"},
    {"D2 what replaces another kind needs no whiteout", "mkdir -p d/sub; echo 1 > f; echo 2 > p; ln -s f l",
     "rm -r d; echo 1 > d; rm f; mkdir f; echo 2 > f/x; rm p l; mkfifo p; echo 3 > l", "d\nf/\nf/x\nl\np\n"},
    {"D2 opaque comes first", "mkdir -p old/sub; echo 1 > old/file; echo 2 > old/z",
     "rm -r old; mkdir old; echo 3 > old/new", "old/\nold/.wh..wh..opq\nold/new\n", From::upper},
    {"D2 between trees, what was in a directory that was made again is hidden by name",
     "mkdir -p old/sub; echo 1 > old/file; echo 2 > old/z", "rm -r old; mkdir old; echo 3 > old/new",
     "old/\nold/.wh.file\nold/.wh.sub\nold/.wh.z\nold/new\n", From::trees},
    {"D3 opaque over what is no directory below counts nothing", "echo 1 > was; ln -s was l",
     "rm was l; mkdir was l; echo 2 > was/x", "l/\nwas/\nwas/x\n"},
    {"D4 parents come with their own attributes",
     "mkdir -p a/b other/x; chmod 711 a; setfattr -n user.note -v kept a/b; echo 1 > a/b/f; touch -d @5.000000007 a/b "
     "a",
     "echo 2 > a/b/f", "a/\na/b/\na/b/f\n"},
    {"D4 the root, where it changed", "echo 1 > f", "chmod 711 .", "./\n"},
    {"D4 the root isn't told, where only something in it changed", "echo 1 > f", "echo 2 > f", "f\n"},
    {"D5 attributes come, and go", "mkdir d; echo 1 > d/f; echo 2 > g; setfattr -n user.gone -v x g",
     "setfattr -n user.note -v '' d/f; setfattr -n user.note -v y d; setfattr -x user.gone g", "d/\nd/f\ng\n"},
    {"D6 a mode, a time, an attribute alone",
     "for d in mode note time untouched; do mkdir $d; echo 1 > $d/file; done; mkdir dir",
     "chmod 600 mode/file; touch -d @5 time/file; setfattr -n user.note -v x note/file; touch -d @7 dir",
     "dir/\nmode/\nmode/file\nnote/\nnote/file\ntime/\ntime/file\n"},
    {"D7 other bytes of the same size and time", "echo one > f; echo two > g; touch -d @1000 f g",
     "echo 111 > f; echo two > g; touch -d @1000 f g", "f\n"},
    {"D8 copied up, but identical",
     "mkdir -p a/b c; echo 1 > a/b/file; touch -d '2020-01-01 00:00:00.123456789' a/b/file",
     "exec 3>> a/b/file; exec 3>&-; chmod 700 c; chmod 755 c", ""},
    {"D8 another inode, but identical", "echo 1 > f; ln -s f l", "cp -p f t; mv t f; cp -a l t; mv t l", ""},
    {"D9 new names of a file, and of a symlink", "mkdir d; echo 1 > d/x",
     "ln d/x d/y; ln d/x a; ln -s nowhere l; ln l d/l", "a\nd/\nd/l -> nowhere\nd/x = a\nd/y = a\nl = d/l\n"},
    {"D9 a new link brings its group along",
     "mkdir d e; echo 1 > d/x; ln d/x d/y; ln d/x e/z; echo 2 > a; touch -d @1 d e", "ln d/x e/w",
     "d/\nd/x\nd/y = d/x\ne/\ne/w = d/x\ne/z = d/x\n", From::trees},
    {"D9 a new link brings its group along, kept by index=on",
     "mkdir d e; echo 1 > d/x; ln d/x d/y; ln d/x e/z; echo 2 > a", "ln d/x e/w",
     "d/\nd/x\nd/y = d/x\ne/\ne/w = d/x\ne/z = d/x\n", From::upper, "redirect_dir=on,metacopy=off,index=on"},
    {"D9 a change to one of the names that index=on keeps",
     "mkdir d e; echo 1 > d/a; ln d/a e/b; ln d/a c; echo 2 > other; ln other other2", "echo 3 >> d/a; mv c c2",
     ".wh.c\nc2\nd/\nd/a = c2\ne/\ne/b = c2\n", From::upper, "redirect_dir=on,metacopy=off,index=on"},
    {"D9 a group that lost a name", "echo 3 > p; ln p q; touch -d @1 p", "cp -p p p2; mv p2 p", "p\nq\n", From::trees},
    {"D9 a group that was split in two of the same content", "mkdir d; echo 1 > d/x; ln d/x d/y; touch -d @1 d/x d",
     "cp -p d/x d/t; mv d/t d/x; touch -d @1 d", "d/\nd/x\nd/y\n", From::trees},
    {"D10 times to the nanosecond, before 1970 too", "mkdir d",
     "touch -d @100.123456789 d/f; touch -d @-5.000000001 g; touch -d @4102444800.999999999 d", "d/\nd/f\ng\n"},
    {"D12 a renamed directory is told whole at its new name",
     "mkdir -p p/old/sub; echo 1 > p/old/sub/deep; echo 2 > p/old/f; mkdir q",
     "mv p/old q/new; echo 3 > q/new/more; chmod 600 q/new/f",
     "p/\np/.wh.old\nq/\nq/new/\nq/new/f\nq/new/more\nq/new/sub/\nq/new/sub/deep\n", From::upper,
     "redirect_dir=on,metacopy=on,index=off"},
    {"D12 a metacopy file is told with its content", "mkdir d; echo content > d/f", "chmod 640 d/f", "d/\nd/f\n",
     From::upper, "redirect_dir=on,metacopy=on,index=off"},
    {"D15 holes", "true", "printf begin > f; truncate -s 3M f", "f\n"},
};

std::string entries_of(const std::string& tar) {
  MemorySource source(tar);
  TarReader reader(source);
  ChangeList list;
  while (const TarEntry* entry = reader.next()) list.add(*entry);
  return list.text;
}

/// How a layer is written from either; `lower` is what it is to be applied onto.
struct Change {
  boost::filesystem::path lower;
  std::function<DiffResult(ByteSink&, const DiffOptions&)> write;
  std::function<void(ByteSource&)> prove;
};
Change between(const UpperChange& change) {
  return {change.base,
          [&](ByteSink& sink, const DiffOptions& options) {
            return Writer().write_upper(change.upper, {change.base}, sink, options);
          },
          [&](ByteSource& layer) {
            Writer().prove_upper(change.upper, {change.base}, layer, change.scratch.directory("place"));
          }};
}
Change between(const TreeChange& change) {
  return {change.older,
          [&](ByteSink& sink, const DiffOptions& options) {
            return Writer().write_trees(change.older, change.newer, sink, options);
          },
          [&](ByteSource& layer) {
            Writer().prove_trees(change.older, change.newer, layer, change.scratch.directory("place"));
          }};
}

std::string layer_of(const Change& change, Report* report = nullptr, const DiffOptions& options = {}) {
  MemorySink sink;
  const DiffResult result = change.write(sink, options);
  if (report != nullptr) *report = result.report;
  return sink.take();
}

void check(const Case& c, const Change& change, const std::string& now) {
  Report report;
  const std::string tar = layer_of(change, &report);
  CHECK(entries_of(tar) == c.layer);
  CHECK(report.empty());
  CHECK(layer_of(change) == tar);
  MemorySource proved(tar), applied(tar);
  CHECK_NOTHROW(change.prove(proved));
  apply_flat(applied, change.lower, {.conformance = Conformance::strict});
  CHECK(difference(now, tree_text(change.lower)) == "");
}

/// Runs `test` with a change from either source that is possible here; `script` is what happens in between.
void from_both(const std::string& before, const std::string& script, const std::function<void(const Change&)>& test) {
  SECTION("from two trees") {
    TreeChange change(before);
    change.change(script);
    change.keep_root_time();
    test(between(change));
  }
  SECTION("from an upper directory") {
    UpperChange change(before);
    if (!change.possible()) return;
    change.change(script);
    change.keep_root_time();
    test(between(change));
  }
}

}  // namespace

TEST_CASE("Every rule of diff holds for an upper directory", "[semantics]") {
  const ScratchDirectory probe;
  if (!can_mount_overlay(probe.path())) return;
  for (const Case& c : cases) {
    if (c.from == From::trees || (*c.options != '\0' && !is_privileged())) continue;
    INFO(c.rule);
    UpperChange change(c.before);
    if (*c.options != '\0') change.options = c.options;
    change.change(c.change);
    change.keep_root_time();
    // Mounted again: right after a copy-up, names of one file may show two inode numbers.
    const std::string now =
        in_overlay({{change.base}, change.upper, change.work, change.options}, change.merged, tree_text);
    check(c, between(change), now);
  }
}

TEST_CASE("Every rule of diff holds for two trees", "[semantics]") {
  for (const Case& c : cases) {
    if (c.from == From::upper) continue;
    INFO(c.rule);
    TreeChange change(c.before);
    change.change(c.change);
    change.keep_root_time();
    check(c, between(change), tree_text(change.newer));
  }
}

TEST_CASE("D1: a name that reads as a whiteout is refused, and named", "[semantics]") {
  const auto refused = [](const Change& change) {
    try {
      layer_of(change);
      FAIL("written");
    } catch (const Error& error) {
      CHECK(error.code() == errc::refused);
      CHECK_THAT(error.what(), Catch::Contains("d/.wh.x"));
    }
  };
  from_both("mkdir d", "echo x > d/.wh.x", refused);
}

TEST_CASE("D3: an opaque mark of an upper counts only where the lower has that directory", "[semantics]") {
  UpperChange change("mkdir old; echo 1 > old/file");
  for (const char* name : {"fresh", "old"}) {
    const auto directory = change.upper / name;
    boost::filesystem::create_directory(directory);
    // As the kernel marks what is made in a directory of its own, too.
    REQUIRE(::setxattr(directory.c_str(), is_privileged() ? "trusted.overlay.opaque" : "user.overlay.opaque", "y", 1,
                       0) == 0);
  }
  change.keep_root_time();
  CHECK(entries_of(layer_of(between(change))) == "fresh/\nold/\nold/.wh..wh..opq\n");
}

TEST_CASE("D5: access control lists come as others read them", "[semantics]") {
  const ScratchDirectory probe;
  if (std::system(("setfacl -m u:$(id -u):rw '" + probe.path().native() + "' 2>/dev/null").c_str()) != 0) {
    WARN("skipped: this filesystem or user can't set them");
    return;
  }
  from_both("mkdir d; echo 1 > f", "setfacl -m u:$(id -u):rw f; setfacl -d -m g:$(id -g):rx d",
            [](const Change& change) {
              const std::string tar = layer_of(change);
              CHECK(entries_of(tar) == "d/\nf\n");
              CHECK_THAT(tar, Catch::Contains("SCHILY.acl.access=") && Catch::Contains("SCHILY.acl.default="));
              MemorySource source(tar);
              CHECK_NOTHROW(change.prove(source));
            });
}

TEST_CASE("D5: a capability comes along", "[semantics]") {
  if (!is_privileged()) {
    WARN("skipped: this user can't set one");
    return;
  }
  const std::string set = "setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 ";
  from_both("echo 1 > f; echo 2 > g; " + set + "g", set + "f; echo 3 >> g", [](const Change& change) {
    const std::string tar = layer_of(change);
    MemorySource source(tar), proved(tar);
    CHECK_NOTHROW(change.prove(proved));
    TarReader reader(source);
    REQUIRE(reader.next() != nullptr);
    CHECK(reader.next()->path == "g");  // writing took its capability
    apply_flat(source = MemorySource(tar), change.lower);
    CHECK(short_tree(change.lower.native()).find("'1\n' capable") == std::string::npos);
  });
}

TEST_CASE("D5: an overlay's own attributes are left out, those of an inner one with a report", "[semantics]") {
  const std::string prefix = is_privileged() ? "trusted.overlay." : "user.overlay.";
  UpperChange change("true");
  boost::filesystem::create_directory(change.upper / "d");
  for (const std::string& name : {prefix + "origin", prefix + "impure", prefix + "overlay.opaque"})
    REQUIRE(::setxattr((change.upper / "d").c_str(), name.c_str(), "y", 1, 0) == 0);
  change.keep_root_time();
  Report report;
  CHECK_THAT(layer_of(between(change), &report), !Catch::Contains("overlay."));
  REQUIRE(report.total() == 1);
  CHECK(report.events()[0].rule == "D5");
  CHECK(report.events()[0].path == "d/");
}

TEST_CASE("D6: an owner alone is a change", "[semantics]") {
  const ScratchDirectory probe;
  if (::chown(probe.path().c_str(), 1, 2) != 0) {
    WARN("skipped: this user can't give files away");
    return;
  }
  from_both("mkdir d; echo 1 > d/f; echo 2 > g; ln -s x l", "chown 1:2 d/f; chown -h 3 l", [](const Change& change) {
    const std::string tar = layer_of(change);
    CHECK(entries_of(tar) == "d/\nd/f\nl -> x\n");
    MemorySource source(tar);
    CHECK_NOTHROW(change.prove(source));
  });
}

TEST_CASE("D10: times after the latest are told as it, none is rounded up", "[semantics]") {
  from_both(
      "true", "touch -d @100.123456789 early; touch -d @200.000000001 edge; touch -d @300.5 late",
      [](const Change& change) {
        const std::string tar = layer_of(change, nullptr, {.latest_time = 200});
        MemorySource source(tar);
        TarReader reader(source);
        for (const auto& [name, time] : {std::pair("early", Timestamp{100, 123456789}),
                                         std::pair("edge", Timestamp{200, 0}), std::pair("late", Timestamp{200, 0})}) {
          const TarEntry* const entry = reader.next();
          REQUIRE(entry != nullptr);
          CHECK(entry->path == name);
          CHECK(entry->mtime == time);
        }
      });
}

namespace {

/// In the working directory, whose path may be longer than an address.
void bind_socket(const boost::filesystem::path& directory, const char* name) {
  const int back = ::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  REQUIRE(::chdir(directory.c_str()) == 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, name);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::close(fd);
  REQUIRE(::fchdir(back) == 0);
  ::close(back);
  REQUIRE(bound == 0);
}

}  // namespace

TEST_CASE("D11: sockets are left out and reported, and what they replaced is deleted", "[semantics]") {
  const auto left_out = [](const Change& change, const std::string& layer, std::vector<std::string> paths) {
    Report report;
    CHECK(entries_of(layer_of(change, &report)) == layer);
    REQUIRE(report.total() == paths.size());
    for (std::size_t i = 0; i < paths.size(); ++i) {
      CHECK(report.events()[i].rule == "D11");
      CHECK(report.events()[i].path == paths[i]);
    }
  };
  SECTION("from two trees, where a device 0:0 is no whiteout but a device") {
    TreeChange change("echo 1 > s; echo 2 > w");
    change.change("rm s w");
    bind_socket(change.newer, "s");
    REQUIRE(::mknod((change.newer / "w").c_str(), S_IFCHR, 0) == 0);
    change.keep_root_time();
    left_out(between(change), ".wh.s\n.wh.w\n", {"s", "w"});
  }
  SECTION("from an upper directory, whose whiteouts come as such, or not at all") {
    UpperChange change("echo 1 > s; echo 2 > w");
    bind_socket(change.upper, "s");
    bind_socket(change.upper, "t");
    for (const char* name : {"w", "never"}) REQUIRE(::mknod((change.upper / name).c_str(), S_IFCHR, 0) == 0);
    change.keep_root_time();
    left_out(between(change), ".wh.s\n.wh.w\n", {"s", "t"});
  }
}

TEST_CASE("D13: a file that can't be read, or grows meanwhile, ends the diff and is named", "[semantics]") {
  from_both("mkdir d", "head -c 4194304 /dev/zero | tr '\\0' x > d/log; echo 1 > d/z", [](const Change& change) {
    struct Growing final : ByteSink {
      std::function<void()> grow;
      void write(std::span<const std::byte>) override { grow(); }
    } sink;
    // Beside the lower is the tree with the file, as it is written to disk.
    const auto parent = change.lower.parent_path();
    const auto file = (boost::filesystem::exists(parent / "newer") ? parent / "newer" : parent / "upper") / "d" / "log";
    sink.grow = [&] { boost::filesystem::ofstream(file, std::ios::app) << "more"; };
    CHECK_THROWS_WITH(change.write(sink, {}), Catch::Contains("d/log") && Catch::Contains("grew"));
  });
  TreeChange change("true");
  change.change("echo 1 > secret; chmod 0 secret; echo 2 > aaa");
  if (::access((change.newer / "secret").c_str(), R_OK) == 0) return;  // this user may read anything
  CHECK_THROWS_WITH(layer_of(between(change)), Catch::Contains("secret"));
}

TEST_CASE("D14: owners are numbers alone, and whiteouts all have the same header", "[semantics]") {
  from_both("mkdir d; echo 1 > d/gone; echo 2 > d/x; touch -d @7 d", "rm d/gone; echo 3 > d/y",
            [](const Change& change) {
              const std::string tar = layer_of(change);
              MemorySource source(tar);
              TarReader reader(source);
              while (const TarEntry* entry = reader.next()) {
                const std::string names = tar.substr(reader.entry_offset() + 265, 64);
                CHECK(names.find_first_not_of('\0') == std::string::npos);
                const bool hides = entry->path == "d/.wh.gone";
                CHECK((entry->mode == 0 && entry->mtime == Timestamp{} && entry->uid == 0 && entry->gid == 0) == hides);
              }
            });
}

TEST_CASE("D15: a hole is written as zeros", "[semantics]") {
  from_both("true", "printf begin > f; truncate -s 3M f", [](const Change& change) {
    const std::string tar = layer_of(change);
    MemorySource source(tar);
    TarReader reader(source);
    const TarEntry* const entry = reader.next();
    REQUIRE(entry != nullptr);
    CHECK_FALSE(entry->sparse);
    std::string content;
    for (auto bytes = reader.content(); !bytes.empty(); bytes = reader.content())
      content.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    CHECK(content == "begin" + std::string((3 << 20) - 5, '\0'));
  });
}

TEST_CASE("D16: a layer that lacks something isn't proved, and the first path that differs is named", "[semantics]") {
  from_both("mkdir d; echo 1 > d/x", "echo 2 > d/y", [](const Change& change) {
    const std::string nothing = layer({});
    MemorySource source(nothing);
    try {
      change.prove(source);
      FAIL("proved");
    } catch (const Error& error) {
      CHECK(error.code() == errc::damaged);
      CHECK_THAT(error.what(), Catch::Contains("'d'") || Catch::Contains("d/y"));
    }
  });
}
