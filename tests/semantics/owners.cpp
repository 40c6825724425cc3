// Rule A24: owners, ACLs and capabilities through an id map, from a layer to the disk and back. What is on the disk is
// looked at with system calls alone. The ids are those that a user namespace of 65536 has too; where this user can't
// give them, the tests say so.

#include "support/catch.hpp"
#include "support/layer_entries.hpp"
#include "support/scratch.hpp"
#include "support/tar_reading.hpp"
#include "tar/acl.hpp"

#include <strata/apply.hpp>
#include <strata/diff_writer.hpp>
#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include <boost/filesystem/operations.hpp>

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

using namespace strata;
using namespace strata::test;
using Catch::Contains;
namespace fs = boost::filesystem;

namespace {

const IdMap ids{IdRanges::parse("0:20000:10000"), IdRanges::parse("0:40000:10000")};

/// Whoever runs this is the container's root, and its only user.
const IdMap own{IdRanges({{0, ::geteuid(), 1}}), IdRanges({{0, ::getegid(), 1}})};

bool can_give_ids() {
  const ScratchDirectory scratch;
  if (::chown(scratch.path().c_str(), 20000, 40000) == 0) return true;
  WARN("skipped: this user can't give files to others");
  return false;
}

RawHeader owned(RawHeader header, unsigned uid, unsigned gid) {
  header.uid = octal(uid, 7);
  header.gid = octal(gid, 7);
  return header;
}

/// "UID:GID" of a file.
std::string owner(const fs::path& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return "absent";
  return std::to_string(st.st_uid) + ":" + std::to_string(st.st_gid);
}

std::string attribute(const fs::path& path, const char* name) {
  char value[256];
  const ssize_t n = ::lgetxattr(path.c_str(), name, value, sizeof value);
  return n < 0 ? "" : std::string(value, static_cast<std::size_t>(n));
}
std::string acl(const fs::path& path, const char* name = "system.posix_acl_access") {
  return detail::acl_to_text(attribute(path, name)).value_or("");
}

/// cap_net_bind_service, effective. `revision` 3 has a root.
std::string capabilities(int revision, const std::string& root = {}) {
  return std::string("\1\0\0", 3) + static_cast<char>(revision) + std::string("\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16) +
         root;
}
const std::string root_of_map("\x20\x4e\0\0", 4);  // 20000

/// A directory, files, a symlink and a hardlink of several owners.
std::string many_owners() {
  TarBuilder tar;
  tar.add(owned(dir("d"), 1, 2)).add(owned(file("d/f", "f"), 0, 0)).add(owned(soft_link("d/l", "f"), 3, 4));
  tar.add(owned(file("g", "g"), 5, 6)).add(owned(hard_link("h", "g"), 7, 8)).add(owned(pipe_file("p"), 9999, 9999));
  return tar.end().bytes;
}
void check_many_owners(const fs::path& root) {
  CHECK(owner(root / "d") == "20001:40002");
  CHECK(owner(root / "d/f") == "20000:40000");
  CHECK(owner(root / "d/l") == "20003:40004");
  CHECK(owner(root / "g") == "20007:40008");  // as the header of its link has it (A14)
  CHECK(owner(root / "p") == "29999:49999");
}

/// One of the forms that a layer can be applied in.
struct Target {
  ScratchDirectory scratch;
  bool overlay;
  fs::path lower = scratch.directory("lower");
  /// Where what is applied is seen; over the lower directory, or in it.
  fs::path root = overlay ? scratch.directory("upper") : lower;

  explicit Target(bool as_overlay) : overlay(as_overlay) {}
  ApplyResult apply(const std::string& tar, const ApplyOptions& options = {.ids = ids}) const {
    MemorySource source(tar);
    return overlay ? apply_overlay(source, root, {lower}, {}, options) : apply_flat(source, root, options);
  }
};

/// What apply refuses, as it says it; empty where it doesn't.
template <class Work>
std::string refusal(Work work) {
  try {
    work();
  } catch (const Error& error) {
    CHECK(error.code() == errc::refused);
    return error.what();
  }
  return {};
}

std::string script(const fs::path& directory, const std::string& commands) {
  if (std::system(("cd '" + directory.native() + "' && set -e\n" + commands).c_str()) != 0)
    throw std::runtime_error("failed: " + commands);
  return {};
}

}  // namespace

TEST_CASE("A24 owners become those of the host", "[semantics]") {
  if (!can_give_ids()) return;
  const Target target(GENERATE(false, true));
  CAPTURE(target.overlay);
  CHECK(target.apply(many_owners()).report.empty());
  check_many_owners(target.root);
}

TEST_CASE("A24 an unlisted directory has a mapped owner where it is new, and the lower one's where there is one",
          "[semantics]") {
  if (!can_give_ids()) return;
  const Target target(GENERATE(false, true));
  CAPTURE(target.overlay);
  script(target.lower, "mkdir d; chown 30:40 d; chown 50:60 .");
  CHECK(target.apply(layer({owned(file("d/f"), 1, 1), owned(file("n/m/f"), 1, 1)})).report.empty());
  CHECK(owner(target.root / "d") == "30:40");
  CHECK(owner(target.root / "n") == "20000:40000");
  CHECK(owner(target.root / "n/m") == "20000:40000");
  CHECK(owner(target.root) == "50:60");
}

TEST_CASE("A24 the root has a mapped owner, listed or not", "[semantics]") {
  if (!can_give_ids()) return;
  const std::string unlisted = layer({owned(file("f"), 1, 1)});
  for (const bool overlay : {false, true}) {
    const Target target(overlay);
    target.apply(layer({owned(dir("./"), 8, 9)}));
    CHECK(owner(target.root) == "20008:40009");
  }
  const ScratchDirectory scratch;
  const auto upper = scratch.directory("upper");
  MemorySource source(unlisted);
  apply_overlay(source, upper, {}, {}, {.ids = ids});
  CHECK(owner(upper) == "20000:40000");
}

TEST_CASE("A24 a hardlink to a lower file is described by mapped ids, and the file's own aren't mapped again",
          "[semantics]") {
  if (!can_give_ids()) return;
  const Target target(GENERATE(false, true));
  CAPTURE(target.overlay);
  script(target.lower, "echo 1 > a; echo 2 > b; chown 20001:40001 a b; touch -d @1000 a b");
  // The one says what is there already, the other something else.
  target.apply(layer({owned(hard_link("x", "a"), 1, 1), owned(hard_link("y", "b"), 2, 3)}));
  CHECK(owner(target.root / "x") == "20001:40001");
  CHECK(owner(target.root / "y") == "20002:40003");
  CHECK(owner(target.root / "b") == "20002:40003");
}

TEST_CASE("A24 users and groups that an ACL names are mapped", "[semantics]") {
  if (!can_give_ids()) return;
  const Target target(GENERATE(false, true));
  CAPTURE(target.overlay);
  const std::string text = "user::rwx,user:5:r--,group::r-x,group:6:rwx,mask::rwx,other::---";
  TarBuilder tar;
  tar.pax({{"SCHILY.acl.access", text}, {"SCHILY.acl.default", text}}).add(owned(dir("d"), 1, 1));
  target.apply(tar.end().bytes);
  const std::string mapped = "user::rwx,user:20005:r--,group::r-x,group:40006:rwx,mask::rwx,other::---";
  CHECK(acl(target.root / "d") == mapped);
  CHECK(acl(target.root / "d", "system.posix_acl_default") == mapped);
}

TEST_CASE("A24 capabilities are those of the map's root, and come back as they were", "[semantics]") {
  if (!can_give_ids()) return;
  const std::string name = "security.capability";
  TarBuilder tar;
  tar.pax({{"SCHILY.xattr." + name, capabilities(2)}}).add(owned(file("f"), 0, 0));
  tar.pax({{"SCHILY.xattr." + name, capabilities(3, std::string("\5\0\0\0", 4))}}).add(owned(file("of_5"), 0, 0));
  const Target target(false);
  CHECK(target.apply(tar.end().bytes).report.empty());
  CHECK(attribute(target.root / "f", name.c_str()) == capabilities(3, root_of_map));
  CHECK(attribute(target.root / "of_5", name.c_str()) == capabilities(3, std::string("\x25\x4e\0\0", 4)));
  // A file of the host's root: in the namespace it shows as its own root's.
  script(target.root, "chown 20000:40000 .; cp -p f of_host; setcap cap_net_bind_service+ep of_host");
  MemorySink sink;
  DiffWriter<Sha256, Uncompressed>().write_trees(target.scratch.directory("empty"), target.root, sink,
                                                 {.ids = {ids.uids, IdRanges::parse("0:40000:10000,20000:0:1")}});
  std::map<std::string, std::string> found;
  for (const auto& entry : read_archive(sink.text()).entries)
    if (entry.xattrs.contains(name)) found[entry.path] = entry.xattrs.at(name);
  CHECK(found == std::map<std::string, std::string>{{"f", capabilities(2)},
                                                    {"of_5", capabilities(3, std::string("\5\0\0\0", 4))},
                                                    {"of_host", capabilities(2)}});
}

TEST_CASE("A24 an id that doesn't fit is an error that names it, and nothing changes", "[semantics]") {
  struct Bad {
    std::string tar;
    const char* id;
    const char* entry;
  };
  const std::string acl_text = "user::rw-,user:10000:r--,group::r--,mask::r--,other::---";
  TarBuilder beyond, of_acl;
  beyond.pax({{"uid", "4294967296"}}).add(owned(file("f"), 0, 0)).end();
  of_acl.pax({{"SCHILY.acl.access", acl_text}}).add(owned(file("f"), 0, 0)).end();
  const std::vector<Bad> cases = {
      {layer({owned(file("d/new"), 0, 0), owned(file("d/f"), 10000, 0)}), "user 10000", "'d/f'"},
      {layer({owned(dir("./"), 0, 10000)}), "group 10000", "'./'"},
      {layer({owned(hard_link("k", "top"), 10001, 0)}), "user 10001", "'k'"},
      {beyond.bytes, "user 4294967296", "'f'"},
      {of_acl.bytes, "user 10000", "'f'"},
  };
  for (const Bad& bad : cases) {
    for (const bool overlay : {false, true}) {
      INFO(bad.id << " of " << bad.entry << (overlay ? ", as an upper directory" : ", flat"));
      const Target target(overlay);
      script(target.lower, "mkdir d; echo 1 > d/f; echo 2 > top");
      const std::string before = short_tree(target.scratch.path().native());
      const std::string said = refusal([&] { target.apply(bad.tar, {.ids = own}); });
      CHECK_THAT(said, Contains(bad.id) && Contains(bad.entry) && Contains("squash owners"));
      CHECK(short_tree(target.scratch.path().native()) == before);
    }
  }
}

TEST_CASE("A24 a map without root refuses a directory that nobody describes before a lower file changes",
          "[semantics]") {
  const IdMap rootless{IdRanges({{1, ::geteuid(), 1}}), IdRanges({{1, ::getegid(), 1}})};
  const Target target(GENERATE(false, true));
  CAPTURE(target.overlay);
  script(target.lower, "echo 1 > top; chmod 644 top; mkdir d");
  const std::string before = short_tree(target.scratch.path().native());
  RawHeader link = owned(hard_link("k", "top"), 1, 1);
  link.mode = "0000600";
  const std::string said = refusal([&] { target.apply(layer({link, owned(file("n/f"), 1, 1)}), {.ids = rootless}); });
  CHECK_THAT(said, Contains("user 0") && Contains("'n'"));
  CHECK(short_tree(target.scratch.path().native()) == before);
  // The root of an upper with nothing below it is such a directory.
  const auto upper = target.scratch.directory("alone");
  const std::string tar = layer({owned(file("f"), 1, 1)});
  MemorySource source(tar);
  CHECK_THAT(refusal([&] { apply_overlay(source, upper, {}, {}, {.ids = rootless}); }), Contains("user 0"));
  CHECK(fs::is_empty(upper));
  // Where each directory is described, there is nothing to refuse.
  target.apply(layer({link, owned(file("d/f"), 1, 1)}), {.ids = rootless});
  CHECK(owner(target.root / "d/f") == std::to_string(::geteuid()) + ":" + std::to_string(::getegid()));
}

TEST_CASE("A24 squashed, what doesn't fit is left to the caller, and reported", "[semantics]") {
  const std::string me = std::to_string(::geteuid()) + ":" + std::to_string(::getegid());
  const Target target(GENERATE(false, true));
  CAPTURE(target.overlay);
  TarBuilder tar;
  tar.add(owned(file("fits"), 0, 0)).add(owned(file("user"), 1, 0)).add(owned(dir("group"), 0, 1));
  tar.pax({{"SCHILY.acl.access", "user::rw-,user:0:r--,user:7:r--,group::---,mask::r--,other::---"}});
  tar.add(owned(file("acl"), 0, 0));
  tar.pax({{"SCHILY.xattr.security.capability", capabilities(3, std::string("\7\0\0\0", 4))}});
  tar.add(owned(file("capable"), 0, 0));
  const Report report = target.apply(tar.end().bytes, {.owners = Owners::squash, .ids = own}).report;
  std::vector<std::string> reported;
  for (const Event& event : report.events()) {
    CHECK(event.rule == "A24");
    reported.push_back(event.path);
  }
  CHECK(reported == std::vector<std::string>{"user", "group", "acl", "capable"});
  for (const char* path : {"fits", "user", "group", "acl", "capable"}) CHECK(owner(target.root / path) == me);
  const std::string named = "user:" + std::to_string(::geteuid());
  CHECK(attribute(target.root / "capable", "security.capability").empty());
  CHECK(acl(target.root / "acl") == "user::rw-," + named + ":r--,group::---,mask::r--,other::---");
}

TEST_CASE("A24 a chain is unpacked through a map; the store keeps what the layers have", "[semantics]") {
  if (!can_give_ids()) return;
  const ScratchDirectory scratch;
  LayerStore<> store{scratch.path() / "store", {.durability = Durability::none}};
  const Digest base = store.import(MemorySource(many_owners())).id;
  const Digest top = store.import(MemorySource(layer({owned(file("new/f"), 1, 1)})), {.parent = base}).id;
  CHECK(store.unpack(top, scratch.path() / "mapped", {.ids = ids}).empty());
  check_many_owners(scratch.path() / "mapped");
  CHECK(owner(scratch.path() / "mapped/new") == "20000:40000");
  CHECK(owner(scratch.path() / "mapped") == "20000:40000");
  store.unpack(top, scratch.path() / "plain");
  CHECK(owner(scratch.path() / "plain/d") == "1:2");

  const IdMap few{IdRanges::parse("0:20000:9000"), ids.gids};
  const std::string said = refusal([&] { store.unpack(top, scratch.path() / "few", {.ids = few}); });
  CHECK_THAT(said, Contains("user 9999") && Contains("'p'"));
  const Report report = store.unpack(top, scratch.path() / "squashed", {.owners = Owners::squash, .ids = few});
  REQUIRE(report.total() == 1);
  CHECK(report.events().front().path == "p");
  CHECK(owner(scratch.path() / "squashed/p") == std::to_string(::geteuid()) + ":" + std::to_string(::getegid()));
}

TEST_CASE("A24 a diff with the map gives a layer with the container's ids, which is proved", "[semantics]") {
  if (!can_give_ids()) return;
  const ScratchDirectory scratch;
  const auto older = scratch.directory("older"), upper = scratch.directory("upper"), place = scratch.directory("place");
  const auto newer = scratch.path() / "newer";
  const std::string base = many_owners();
  MemorySource source(base);
  apply_flat(source, older, {.ids = ids});
  script(scratch.path(), "chown 20000:40000 older upper; cp -a older newer");
  const std::string change =
      "mkdir -p d; chown 20001:40002 d; echo new > d/n; chown 20100:40200 d/n; ln d/n d/o\n"
      "setfacl -m u:20005:r,g:40006:rw d/n; touch .";
  script(newer, change);
  script(upper, change);

  const DiffWriter<Sha256, Uncompressed> writer;
  const DiffOptions options{.ids = ids};
  const bool trees = GENERATE(true, false);
  CAPTURE(trees);
  const auto write = [&](const DiffOptions& with) {
    MemorySink sink;
    if (trees)
      writer.write_trees(older, newer, sink, with);
    else
      writer.write_upper(upper, {older}, sink, with);
    return sink.take();
  };
  const auto prove = [&](const std::string& tar, const DiffOptions& with) {
    MemorySource layer(tar);
    if (trees)
      writer.prove_trees(older, newer, layer, place, with);
    else
      writer.prove_upper(upper, {older}, layer, place, with);
  };
  const std::string tar = write(options);
  std::map<std::string, std::string> owners;
  for (const auto& entry : read_archive(tar).entries) {
    owners[entry.path] = std::to_string(entry.uid) + ":" + std::to_string(entry.gid);
    if (entry.path == "d/n")
      CHECK(detail::acl_to_text(entry.xattrs.at("system.posix_acl_access")) ==
            "user::rw-,user:5:r--,group::r--,group:6:rw-,mask::rw-,other::r--");
  }
  CHECK(owners ==
        std::map<std::string, std::string>{{"./", "0:0"}, {"d/", "1:2"}, {"d/n", "100:200"}, {"d/o", "100:200"}});
  CHECK_NOTHROW(prove(tar, options));
  CHECK_THROWS_WITH(prove(tar, {}), Contains("owner"));

  // The same layer elsewhere, through another map.
  const Target target(false);
  target.apply(tar, {.ids = {IdRanges::parse("0:30000:10000"), IdRanges::parse("0:30000:10000")}});
  CHECK(owner(target.root / "d/o") == "30100:30200");

  script(trees ? newer : upper, "chown 5:40000 d/n");
  const std::string said = refusal([&] { write(options); });
  CHECK_THAT(said, Contains("user 5") && Contains("'d/n'"));
}
