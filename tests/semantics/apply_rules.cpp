// The rules of apply (docs/semantics.md), a case or more for each, named by the rule. Every case is applied in each
// form: flat, one layer after the other into one directory; through a store, unpacked and mounted; and as an upper
// directory over the flat lower layers.

#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/layer_entries.hpp"
#include "support/private_overlay.hpp"
#include "support/scratch.hpp"
#include "support/tree_text.hpp"

#include <strata/apply.hpp>
#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include <algorithm>
#include <regex>

using namespace strata;
using namespace strata::test;

namespace {

using Layers = std::vector<std::string>;

struct Case {
  const char* rule;
  Layers layers;
  std::string tree;        ///< as short_tree() tells it
  const char* event = "";  ///< the rule that is reported for the last layer; empty: none
};

std::string flat(const ScratchDirectory& scratch, const Layers& layers, Report* report = nullptr) {
  const auto root = scratch.directory("flat");
  for (const std::string& tar : layers) {
    MemorySource source(tar);
    const ApplyResult result = apply_flat(source, root);
    if (report != nullptr && &tar == &layers.back()) *report = result.report;
  }
  return short_tree(root.native());
}

std::string stored(const ScratchDirectory& scratch, const Layers& layers, bool mount) {
  LayerStore<> store{scratch.path() / "store", {.durability = Durability::none}};
  std::optional<Digest> top;
  for (const std::string& tar : layers) {
    const ImportedLayer imported = store.import(MemorySource(tar), {.parent = top});
    top = imported.id;
    MemorySink out;
    store.export_layer(imported.id, out);
    CHECK(out.text() == tar);
    for (const Damage& damage : store.verify(imported.id, {.level = VerifyLevel::proving}).damages)
      FAIL_CHECK("verify: " << damage.path << ": " << damage.what);
  }
  if (!mount) {
    store.unpack(*top, scratch.path() / "unpacked");
    return short_tree((scratch.path() / "unpacked").native());
  }
  return in_overlay({store.lowers(store.get(*top)), scratch.directory("u"), scratch.directory("w"), ""},
                    scratch.directory("m"), [](const auto& root) { return short_tree(root.native()); });
}

std::string over_lowers(const ScratchDirectory& scratch, const Layers& layers) {
  const auto lower = scratch.directory("lower");
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
    MemorySource source(layers[i]);
    apply_flat(source, lower);
  }
  const auto upper = scratch.directory("upper");
  MemorySource source(layers.back());
  apply_overlay(source, upper, {lower});
  return in_overlay({{upper, lower}, "", "", ""}, scratch.directory("m2"),
                    [](const auto& root) { return short_tree(root.native()); });
}

RawHeader with_time(RawHeader header, const std::string& time) {
  header.mtime = time;
  return header;
}
RawHeader with_mode(RawHeader header, const std::string& mode) {
  header.mode = mode;
  return header;
}

/// A layer of one entry with these PAX records.
std::string layer_with(const PaxList& records, const RawHeader& header) {
  return TarBuilder().pax(records).add(header).end().bytes;
}

RawHeader device(const std::string& path, unsigned major, unsigned minor) {
  RawHeader header = entry('3', path, "0000644");
  header.device_major = octal(major, 7);
  header.device_minor = octal(minor, 7);
  return header;
}

const std::string base = layer({dir("d", "0000700"), file("d/a", "a"), file("d/b", "b"), dir("d/s"), file("d/s/c", "c"),
                                file("top", "t"), soft_link("l", "d")});

const std::string long_name(200, 'n');
const std::string long_tree =
    "link 644 'x'\n" + long_name + "/ 755\n" + long_name + "/gnu 644 'x' = link\n" + long_name + "/pax 644 'x'\n";
const std::string sparse_tree = std::string("f 644 '").append(4, '\0') + "ab" + std::string(2, '\0') + "'\n";

const std::vector<Case> cases = {
    {"A1 a whiteout after the entry",
     {layer({file("f", "old")}), layer({file("f", "new"), whiteout(".wh.f")})},
     "f 644 'new'\n"},
    {"A1 a whiteout before the entry",
     {layer({file("f", "old")}), layer({whiteout(".wh.f"), file("f", "new")})},
     "f 644 'new'\n"},
    {"A1 a whiteout hides",
     {base, layer({whiteout("d/.wh.a"), whiteout(".wh.top")})},
     "d/ 700\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\n"},
    {"A1 the same layer twice",
     {layer({file("f", "1")}), layer({whiteout(".wh.f"), file("g", "2")}), layer({file("f", "1")}),
      layer({whiteout(".wh.f"), file("g", "2")})},
     "g 644 '2'\n"},
    {"A2 whiteout, then directory",
     {base, layer({whiteout(".wh.d"), dir("d"), file("d/new")})},
     "d/ 755\nd/new 644 'x'\nl -> d\ntop 644 't'\n"},
    {"A2 directory, then whiteout",
     {base, layer({dir("d"), file("d/new"), whiteout(".wh.d")})},
     "d/ 755\nd/new 644 'x'\nl -> d\ntop 644 't'\n"},
    {"A3 implied directory, then whiteout",
     {base, layer({file("d/new"), whiteout(".wh.d")})},
     "d/ 755\nd/new 644 'x'\nl -> d\ntop 644 't'\n"},
    {"A4 opaque last",
     {base, layer({dir("d"), file("d/new"), file("d/s/deep"), whiteout("d/.wh..wh..opq")})},
     "d/ 755\nd/new 644 'x'\nd/s/ 755\nd/s/deep 644 'x'\nl -> d\ntop 644 't'\n"},
    {"A4 opaque in an implied directory", {base, layer({whiteout("d/.wh..wh..opq")})}, "d/ 700\nl -> d\ntop 644 't'\n"},
    {"A4 opaque root", {base, layer({whiteout(".wh..wh..opq"), file("only")})}, "only 644 'x'\n"},
    {"A5 whiteouts inside an opaque directory",
     {base, layer({dir("d"), whiteout("d/.wh..wh..opq"), whiteout("d/.wh.a"), file("d/b", "B")})},
     "d/ 755\nd/b 644 'B'\nl -> d\ntop 644 't'\n"},
    {"A6 a whiteout with whiteouts beneath",
     {base, layer({whiteout(".wh.d"), whiteout("d/.wh.a")})},
     "l -> d\ntop 644 't'\n"},
    {"A6 a whiteout in a directory that isn't there",
     {base, layer({whiteout("no/such/.wh.x"), file("f")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nf 644 'x'\nl -> d\ntop 644 't'\n"},
    {"A1 a whiteout in a directory that is new",
     {base, layer({dir("n"), whiteout("n/.wh.x")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\nn/ 755\ntop 644 't'\n"},
    {"A8 a whiteout that is a hardlink", {base, layer({hard_link(".wh.d", "top")})}, "l -> d\ntop 644 't'\n"},
    {"A9 bookkeeping of AUFS",
     {base, layer({dir(".wh..wh.plnk"), file(".wh..wh.aufs"), file(".wh..wh.plnk/1.2"), whiteout(".wh.d")})},
     "l -> d\ntop 644 't'\n",
     "A9"},
    {"A10 a directory's attributes are replaced",
     {base, layer({dir("d", "0000711", 5), whiteout("d/.wh.s")})},
     "d/ 711 @5\nd/a 644 'a'\nd/b 644 'b'\nl -> d\ntop 644 't'\n"},
    {"A11 an implied directory is as below",
     {base, layer({file("d/s/new")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nd/s/new 644 'x'\nl -> d\ntop 644 't'\n"},
    {"A11 an implied directory that is new",
     {layer({file("p/q/late", "x", "0000644", 3000), file("p/q/early", "x", "0000644", 2000)})},
     "p/ 755 @2000\np/q/ 755 @2000\np/q/early 644 'x' @2000\np/q/late 644 'x' @3000\n"},
    {"A12 a parent that is a symlink below",
     {base, layer({file("l/s/new"), file("l/a", "A")})},
     "d/ 700\nd/a 644 'A'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nd/s/new 644 'x'\nl -> d\ntop 644 't'\n"},
    {"A12 a whiteout through a symlink below",
     {base, layer({whiteout("l/.wh.a"), whiteout("l/.wh.s")})},
     "d/ 700\nd/b 644 'b'\nl -> d\ntop 644 't'\n"},
    {"A12 an entry of its own replaces a symlink",
     {base, layer({dir("l"), file("l/new")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl/ 755\nl/new 644 'x'\ntop 644 't'\n"},
    {"A12 a symlink of the layer itself",
     {layer({dir("real"), soft_link("way", "/real"), file("way/f")})},
     "real/ 755\nreal/f 644 'x'\nway -> /real\n"},
    {"A12 a symlink of the layer to a directory below",
     {base, layer({soft_link("k", "d/s"), file("k/new")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nd/s/new 644 'x'\nk -> d/s\nl -> d\ntop 644 't'\n"},
    {"A12 an entry of its own replaces a symlink, wherever it stands",
     {base, layer({file("l/new"), dir("l")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl/ 755\nl/new 644 'x'\ntop 644 't'\n"},
    {"A12 a symlink of the layer to a directory that other entries imply later",
     {layer({soft_link("k", "q"), file("k/one"), file("q/two")})},
     "k -> q\nq/ 755\nq/one 644 'x'\nq/two 644 'x'\n"},
    {"A12 through a symlink below to its own name",
     {layer({dir("b"), soft_link("b/b", "../../b")}), layer({file("b/b/b"), whiteout("b/b/.wh.none")})},
     "b/ 755\nb/b 644 'x'\n"},
    {"A13 a parent that is a file below",
     {base, layer({file("top/in")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\ntop/ 755\ntop/in 644 'x'\n"},
    {"A12 a file and a whiteout of one name, one of them through a symlink below",
     {base, layer({file("l/a", "new"), whiteout("d/.wh.a")})},
     "d/ 700\nd/a 644 'new'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\ntop 644 't'\n"},
    {"A13 a parent that is a file of the layer, through a symlink below",
     {layer({soft_link("l", "d")}), layer({file("l/f", "file"), file("d/f/in")})},
     "d/ 755\nd/f/ 755\nd/f/in 644 'x'\nl -> d\n",
     "A21"},
    {"A13 a parent that is a file of the layer", {layer({file("f"), file("f/in")})}, "f/ 755\nf/in 644 'x'\n", "A13"},
    {"A14 to an earlier entry",
     {layer({file("a", "1"), hard_link("b", "a"), hard_link("c", "b")})},
     "a 644 '1'\nb 644 '1' = a\nc 644 '1' = a\n"},
    {"A14 to a later entry",
     {layer({hard_link("a", "b"), hard_link("b", "c"), file("c", "1")})},
     "a 644 '1'\nb 644 '1' = a\nc 644 '1' = a\n"},
    {"A14 to a later entry, of which the last link says what it is",
     {layer({with_mode(hard_link("a", "b"), "0000600"), with_mode(hard_link("b", "c"), "0000640"), file("c", "1")})},
     "a 640 '1'\nb 640 '1' = a\nc 640 '1' = a\n"},
    {"A14 to a lower file",
     {base, layer({dir("n"), hard_link("n/x", "/d/a")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\nn/ 755\nn/x 644 'a' = d/a\ntop 644 't'\n"},
    {"A14 to a lower file with several names",
     {layer({dir("q"), file("q/a", "1"), hard_link("z", "q/a")}), layer({hard_link("m", "z")})},
     "m 644 '1'\nq/ 755\nq/a 644 '1' = m\nz 644 '1' = m\n"},
    {"A14 to a lower file that the layer removes",
     {base, layer({whiteout(".wh.top"), hard_link("moved", "top")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\nmoved 644 't'\n"},
    {"A14 to a lower file one of whose names is replaced by a symlink's directory",
     {layer({dir("b"), soft_link("a", "nowhere"), hard_link("b/a", "a")}),
      layer({hard_link("b", "a"), whiteout(".wh.a")})},
     "b -> nowhere\n"},
    {"A14 to a link that itself leads below",
     {base, layer({hard_link("one", "two"), hard_link("two", "top")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\none 644 't'\ntop 644 't' = one\ntwo 644 't' = "
     "one\n"},
    {"A14 to itself, as tar writes a name that it is given twice",
     {layer({file("a", "1"), hard_link("b", "a"), dir("d"), hard_link("a", "a"),
             with_mode(hard_link("b", "b"), "0000600")})},
     "a 600 '1'\nb 600 '1' = a\nd/ 755\n",
     "A21"},
    {"A14 to itself, a symlink, by another way",
     {layer({soft_link("a", "."), with_time(hard_link("a", "a/a"), octal(5, 11)), soft_link("d", "."),
             hard_link("d/a", "a")})},
     "a -> .\nd -> .\n",
     "A21"},
    {"A14 to itself as it is below",
     {base, layer({with_mode(hard_link("top", "top"), "0000600"), hard_link("d/a", "l/a")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\ntop 600 't'\n",
     "A21"},
    {"A14 to itself through a symlink below",
     {base, layer({hard_link("l/a", "d/a"), file("d/b", "B"), hard_link("l/b", "d/b")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'B'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\ntop 644 't'\n",
     "A21"},
    {"A14 to a symlink", {layer({soft_link("s", "nowhere"), hard_link("t", "s")})}, "s -> nowhere\nt -> nowhere = s\n"},
    {"A16 a parent that isn't listed keeps its time",
     {layer({dir("d", "0000755", 77), file("d/a")}), layer({file("d/b"), whiteout("d/.wh.a")})},
     "d/ 755 @77\nd/b 644 'x'\n"},
    {"A17 an opaque mark that is forged",
     {base,
      layer_with({{"SCHILY.xattr.trusted.overlay.opaque", "y"}, {"SCHILY.xattr.user.overlay.opaque", "y"}}, dir("d"))},
     "d/ 755\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\ntop 644 't'\n",
     "A17"},
    {"A17 a redirect that is forged",
     {base, layer_with({{"SCHILY.xattr.trusted.overlay.redirect", "/d"}, {"SCHILY.xattr.user.overlay.redirect", "/d"}},
                       dir("n"))},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\nn/ 755\ntop 644 't'\n",
     "A17"},
    {"A17 other attributes are kept, beside those that are not",
     {layer_with({{"SCHILY.xattr.trusted.overlay.metacopy", ""},
                  {"SCHILY.xattr.user.overlay.metacopy", ""},
                  {"SCHILY.xattr.user.note", "kept"}},
                 file("f"))},
     "f 644 'x' note=kept\n",
     "A17"},
    {"A17 a label of the host's own is left to it",
     {layer_with({{"SCHILY.xattr.security.selinux", "system_u:object_r:tmp_t:s0"}}, file("f"))},
     "f 644 'x'\n"},
    {"A18 a device 0:0",
     {base, layer({device("top", 0, 0), device("d/none", 0, 0), whiteout("d/.wh.s")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nl -> d\ntop 644 't'\n",
     "A18"},
    {"A20 a FIFO", {layer({pipe_file("p")})}, "p fifo\n"},
    {"A20 a name that is not UTF-8",
     {layer({file("\xff\xfe")}), layer({file("g"), whiteout(".wh.\xff\xfe"), file("\xc3(")})},
     "g 644 'x'\n\xc3( 644 'x'\n"},
    {"A20 long names of GNU and of PAX",
     {TarBuilder()
          .long_name(long_name + "/gnu")
          .add(file("short"))
          .pax({{"path", long_name + "/pax"}})
          .add(file("short"))
          .long_link(long_name + "/gnu")
          .add(hard_link("link", "short"))
          .end()
          .bytes},
     long_tree},
    {"A20 global records",
     {TarBuilder().pax({{"mtime", "5"}}, 'g').add(file("f")).pax({{"mtime", "6"}}).add(file("g")).end().bytes},
     "f 644 'x' @5\ng 644 'x' @6\n"},
    {"A20 a sparse file",
     {layer_with(
         {{"GNU.sparse.major", "1"}, {"GNU.sparse.minor", "0"}, {"GNU.sparse.name", "f"}, {"GNU.sparse.realsize", "8"}},
         file("f", std::string("1\n4\n2\n").append(506, '\0') + "ab"))},
     sparse_tree},
    {"A20 a time in base 256, before 1970", {layer({with_time(file("f"), base256(-5, 12))})}, "f 644 'x' @-5\n"},
    {"A21 a path twice", {layer({file("f", "one"), file("f", "two")})}, "f 644 'two'\n", "A21"},
    {"A21 a file, then a directory",
     {layer({file("f", "one"), dir("f"), file("f/in")})},
     "f/ 755\nf/in 644 'x'\n",
     "A21"},
    {"A21 a directory, then a file", {layer({dir("f"), file("f/in", "in"), file("f", "one")})}, "f 644 'one'\n", "A21"},
    {"A21 a link to what is then replaced",
     {layer({file("a", "old"), hard_link("b", "a"), file("a", "new")})},
     "a 644 'new'\nb 644 'old'\n",
     "A21"},
    {"A22 absolute names stay inside", {layer({dir("/d"), file("/d/f")})}, "d/ 755\nd/f 644 'x'\n", "A22"},
    {"A22 '..' that stays inside", {layer({dir("d"), file("d/../f")})}, "d/ 755\nf 644 'x'\n", "A22"},
    {"A23 bytes after the end marker",
     {base, layer({whiteout(".wh.d")}) + std::string(70'000, 'j')},
     "l -> d\ntop 644 't'\n",
     "tar"},
    {"A23 an archive after the end marker", {layer({file("f")}) + layer({file("never")})}, "f 644 'x'\n", "tar"},
    {"A25 a global header is called by a path",
     {layer({global_header("/tmp/g"), file("z")})},
     "tmp/ 755\nz 644 'x'\n",
     "A25"},
    {"A25 by a path that is there below",
     {base, layer({global_header("top/g"), global_header("l/s/g"), global_header("d/g"), file("z")})},
     "d/ 700\nd/a 644 'a'\nd/b 644 'b'\nd/s/ 755\nd/s/c 644 'c'\nl -> d\ntop 644 't'\nz 644 'x'\n",
     "A25"},
    {"A25 by a path that the layer puts something else at",
     {layer({global_header("z/g"), file("z"), global_header("z/g"), file("y")})},
     "y 644 'x'\nz 644 'x'\n",
     "A25"},
    {"A25 by a path among its records",
     {layer({global_header("tmp/g", "path", "g"), file("z")})},
     "z 644 'x'\n",
     "tar"},
    {"A25 by what is no path inside", {layer({global_header("../../tmp/g"), file("z")})}, "z 644 'x'\n"},
    {"A15 directories that their owner may not change",
     {layer({dir("r", "0000555"), file("r/a"), dir("r/s", "0000555"), file("r/s/z")}),
      layer({dir("r", "0000555"), file("r/b"), file("r/s/y"), dir("r/n", "0000555"), file("r/n/w")})},
     "r/ 555\nr/a 644 'x'\nr/b 644 'x'\nr/n/ 555\nr/n/w 644 'x'\nr/s/ 555\nr/s/y 644 'x'\nr/s/z 644 'x'\n"},
    {"each pair: file below, directory above",
     {layer({file("x")}), layer({dir("x"), file("x/in")})},
     "x/ 755\nx/in 644 'x'\n"},
    {"each pair: directory below, file above",
     {layer({dir("x"), file("x/in")}), layer({file("x", "f")})},
     "x 644 'f'\n"},
    {"each pair: directory below, symlink above",
     {layer({dir("x"), file("x/in")}), layer({soft_link("x", "y")})},
     "x -> y\n"},
    {"each pair: symlink below, FIFO above", {layer({soft_link("x", "y")}), layer({pipe_file("x")})}, "x fifo\n"},
    {"a directory that is named as apply names its own",
     {layer({dir(".strata-apply.l"), soft_link(".strata-apply.l/lock", "/nowhere"), dir(".strata-apply.p"),
             pipe_file(".strata-apply.p/lock"), dir(".strata-apply.s/lock"), soft_link(".strata-apply.t", "/")}),
      layer({file("f")})},
     ".strata-apply.l/ 755\n.strata-apply.l/lock -> /nowhere\n.strata-apply.p/ 755\n.strata-apply.p/lock fifo\n"
     ".strata-apply.s/ 755\n.strata-apply.s/lock/ 755\n.strata-apply.t -> /\nf 644 'x'\n"},
    {"three layers: removed, then made again",
     {base, layer({whiteout(".wh.d")}), layer({dir("d"), file("d/z")})},
     "d/ 755\nd/z 644 'x'\nl -> d\ntop 644 't'\n"},
    {"three layers: opaque in the middle",
     {base, layer({dir("d"), whiteout("d/.wh..wh..opq"), file("d/m")}), layer({file("d/n")})},
     "d/ 755\nd/m 644 'x'\nd/n 644 'x'\nl -> d\ntop 644 't'\n"},
};

/// The cases, and those that depend on who runs them.
std::vector<Case> all_cases() {
  std::vector<Case> all = cases;
  const ScratchDirectory scratch;
  const bool makes_devices = ::mknod((scratch.path() / "device").c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0;
  const Layers devices = {layer({file("d"), file("f")}),
                          layer({device("d", 1, 3), hard_link("link", "d"), device("f/d", 1, 5)})};
  if (makes_devices)
    all.push_back(
        {"A19 devices that this user may create", devices, "d char 1:3\nf/ 755\nf/d char 1:5\nlink char 1:3 = d\n"});
  else
    all.push_back({"A19 devices that this user may not create", devices, "f/ 755\n", "A19"});
  // A capability of the first user namespace, of version 2, is its root's alone to give.
  const std::string capability("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  if (is_privileged())
    all.push_back({"A17 a capability, after the owner",
                   {layer_with({{"SCHILY.xattr.security.capability", capability}}, with_mode(file("f"), "0000755"))},
                   "f 755 'x' capable\n"});
  return all;
}

}  // namespace

TEST_CASE("Every rule of apply holds in a flat directory", "[semantics]") {
  for (const Case& c : all_cases()) {
    INFO(c.rule);
    const ScratchDirectory scratch;
    Report report;
    CHECK(flat(scratch, c.layers, &report) == c.tree);
    if (*c.event == '\0') {
      CHECK(report.empty());
    } else {
      CHECK(std::any_of(report.events().begin(), report.events().end(),
                        [&](const Event& event) { return event.rule == c.event; }));
    }
  }
}

TEST_CASE("Every rule of apply holds for a chain of a store, unpacked", "[semantics]") {
  for (const Case& c : all_cases()) {
    INFO(c.rule);
    CHECK(stored(ScratchDirectory(), c.layers, false) == c.tree);
  }
}

TEST_CASE("Every rule of apply holds for a chain of a store, mounted", "[semantics]") {
  const ScratchDirectory probe;
  if (!can_mount_overlay(probe.path())) return;
  for (const Case& c : all_cases()) {
    INFO(c.rule);
    CHECK(stored(ScratchDirectory(), c.layers, true) == c.tree);
  }
}

TEST_CASE("Every rule of apply holds for an upper directory over its lowers", "[semantics]") {
  const ScratchDirectory probe;
  if (!can_mount_overlay(probe.path())) return;
  for (const Case& c : all_cases()) {
    INFO(c.rule);
    CHECK(over_lowers(ScratchDirectory(), c.layers) == c.tree);
  }
}

TEST_CASE("Strict refuses what compat reports", "[semantics]") {
  for (const Case& c : all_cases()) {
    if (*c.event == '\0') continue;
    INFO(c.rule);
    const ScratchDirectory scratch;
    const auto root = scratch.directory("flat");
    for (std::size_t i = 0; i + 1 < c.layers.size(); ++i) {
      MemorySource source(c.layers[i]);
      apply_flat(source, root);
    }
    const std::string before = short_tree(root.native());
    MemorySource source(c.layers.back());
    CHECK_THROWS_AS(apply_flat(source, root, {.conformance = Conformance::strict}), Error);
    CHECK(short_tree(root.native()) == before);
  }
}

namespace {

/// A symlink in a directory so deep that its path is nearly as long as one can be, and a file as deep again behind it.
std::string too_deep() {
  std::string deep = "x";
  while (deep.size() < 3900) deep += "/x";
  RawHeader link = soft_link("t", "");
  TarBuilder tar;
  tar.pax({{"path", deep}}).add(dir("x")).pax({{"linkpath", deep}}).add(link);
  return tar.pax({{"path", "t/" + deep + "/f"}}).add(file("f")).end().bytes;
}

}  // namespace

TEST_CASE("What a layer can't mean is an error that leaves the directory as it was", "[semantics]") {
  const std::vector<std::pair<const char*, std::string>> bad = {
      {"A7 a whiteout of no name", layer({whiteout(".wh.")})},
      {"A7 a whiteout of '.'", layer({whiteout(".wh..")})},
      {"A7 a whiteout of '..'", layer({whiteout("d/.wh...")})},
      {"A22 a name that leaves the root", layer({file("good"), file("../evil")})},
      {"A22 a name that leaves the root on its way", layer({file("d/../../evil")})},
      {"A14 a target that isn't there", layer({file("good"), hard_link("b", "missing")})},
      {"A14 a target that an opaque directory hides", layer({whiteout("d/.wh..wh..opq"), hard_link("b", "d/a")})},
      {"A14 a target that an opaque root hides", layer({whiteout(".wh..wh..opq"), hard_link("b", "top")})},
      {"A14 a target that is a directory", layer({dir("n"), hard_link("b", "n")})},
      {"A14 a target through what the layer makes a file", layer({hard_link("b", "d/a"), file("d")})},
      {"A14 a target that is a link to what isn't there", layer({hard_link("b", "top"), hard_link("top", "missing")})},
      {"A14 links in a circle", layer({hard_link("b", "c"), hard_link("c", "b")})},
      {"A14 a link to itself where nothing is", layer({hard_link("b", "b")})},
      {"A14 a link to itself, a directory below", layer({hard_link("d", "d")})},
      {"A12 a symlink of the layer that leads nowhere", layer({soft_link("out", "/nowhere"), file("out/f")})},
      {"A12 a symlink of the layer that leads nowhere through another",
       layer({dir("n"), soft_link("one", "n"), soft_link("two", "one/missing"), file("two/f")})},
      {"A12 symlinks in a circle", layer({soft_link("one", "two"), soft_link("two", "one"), file("one/f")})},
      {"A14 a link that would change a lower file, then one that can't be made",
       layer({with_mode(hard_link("b", "top"), "0000600"), hard_link("c", "missing")})},
      {"A12 a symlink to where paths are too long", too_deep()},
      {"A7 beneath a whiteout", layer({file(".wh.d/f")})},
      {"a name of 256 bytes", TarBuilder().pax({{"path", std::string(256, 'n')}}).add(file("n")).end().bytes},
      {"a path of more than 4,095 bytes",
       TarBuilder().pax({{"path", std::string(5000, 'a').replace(1, 1, "/")}}).add(file("n")).end().bytes},
  };
  for (const auto& [rule, tar] : bad) {
    INFO(rule);
    const ScratchDirectory scratch;
    const auto root = scratch.directory("flat");
    MemorySource below(base);
    apply_flat(below, root);
    const std::string before = short_tree(scratch.path().native());
    MemorySource source(tar);
    CHECK_THROWS_AS(apply_flat(source, root), Error);
    CHECK(short_tree(scratch.path().native()) == before);
  }
}

TEST_CASE("A17: no attribute of an overlay is applied raw", "[semantics]") {
  const ScratchDirectory scratch;
  const auto root = scratch.directory("flat"), upper = scratch.directory("upper");
  const std::string tar = layer_with({{"SCHILY.xattr.trusted.overlay.opaque", "y"},
                                      {"SCHILY.xattr.user.overlay.opaque", "y"},
                                      {"SCHILY.xattr.user.overlay.metacopy", ""}},
                                     dir("n"));
  for (const bool flat : {true, false}) {
    MemorySource source(tar);
    const Report report = flat ? apply_flat(source, root).report : apply_overlay(source, upper, {}).report;
    CHECK(report.total() == 3);
    for (const auto& [name, value] : xattrs_of(((flat ? root : upper) / "n").native()))
      CHECK_THAT(name, !Catch::Contains(".overlay."));
  }
}

TEST_CASE("A23: the stream is digested to its end, and a wrong digest leaves nothing behind", "[semantics]") {
  const std::string tar = layer({file("f"), whiteout(".wh.top")}) + std::string(70'000, 'j');
  const Digest whole = digest_of<Sha256>(tar), other = digest_of<Sha256>(tar + "j");
  const ScratchDirectory scratch;
  const auto root = scratch.directory("flat");
  MemorySource below(base);
  apply_flat(below, root);
  LayerStore<> store{scratch.path() / "store", {.durability = Durability::none}};
  // Drafts that come and go leave their time on staging/.
  const auto state = [&] {
    return std::regex_replace(short_tree(scratch.path().native()), std::regex(" @[0-9]+"), "");
  };
  const std::string before = state();
  const auto refuses = [&](const ApplyOptions& options, const ImportOptions& import) {
    MemorySource source(tar);
    CHECK_THROWS_AS(apply_flat(source, root, options), Error);
    CHECK_THROWS_AS(store.import(MemorySource(tar), import), Error);
    CHECK(state() == before);
  };
  refuses({.expected_blob = other}, {.expected_blob = other});
  refuses({.expected_diff_id = other}, {.expected_diff_id = other});
  MemorySource source(tar);
  const ApplyResult result = apply_flat(source, root, {.expected_blob = whole, .expected_diff_id = whole});
  CHECK(result.diff_id == whole);
  CHECK(result.tar_size == tar.size());
}

TEST_CASE("A23: a tar without an end marker is taken where its end is proved, or the caller asks", "[semantics]") {
  const std::string tar = TarBuilder().add(file("f")).bytes;
  const ScratchDirectory scratch;
  const auto root = scratch.directory("flat");
  const auto apply = [&](const std::string& bytes, const ApplyOptions& options) {
    MemorySource source(bytes);
    return apply_flat(source, root, options).report;
  };
  CHECK_THROWS_AS(apply(tar, {.end = EndOfLayer::proven}), Error);
  CHECK(short_tree(root.native()).empty());
  const Report taken = apply(tar, {});
  REQUIRE(taken.total() == 1);
  CHECK_THAT(taken.events()[0].action, Catch::Contains("end marker"));
  CHECK_NOTHROW(apply(tar, {.expected_diff_id = digest_of<Sha256>(tar), .end = EndOfLayer::proven}));
  CHECK_NOTHROW(apply(encode(CompressionPolicy::of<Gzip>(), tar), {.end = EndOfLayer::proven}));
}
