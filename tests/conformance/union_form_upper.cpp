// Upper directories in every union form: as their programs leave them, and as they were seen to.
#include "conformance/union_form_suite.hpp"

#include <strata/diff_writer.hpp>

#include "support/bytes.hpp"
#include "support/change_list.hpp"

using namespace strata;
using namespace strata::test;

namespace {

const std::string before = R"(
mkdir -p a/b/c gone/x keep replaced/old swap emptied many
echo 1 > a/f; echo 2 > a/b/g; echo 3 > a/b/c/h; echo x > gone/x/y; echo k > keep/k; echo o > replaced/old/o
echo s > swap/s; echo e > emptied/e; echo one > file; echo two > other; echo t > touched; echo l > linked
ln -s file link; mkfifo pipe; chmod 700 keep; echo w > weird; echo grown > grown; echo cut > cut
for i in 1 2 3 4 5; do echo $i > many/$i; done
find . -exec touch -h -d '2001-01-01 00:00:00' {} +
)";

/// 40 and more of every kind. None that copies up and changes nothing, or depends on the time of a directory:
/// unionfs-fuse keeps no times of directories that it copies up, and gives none to those that something is deleted in.
const std::string changes = R"(
rm a/f; rm a/b/c/h; rmdir a/b/c; rm -r gone; rm link; rm pipe
rm -r replaced; mkdir replaced; echo new > replaced/new
rm -r swap; echo now a file > swap
rm file; mkdir file; echo in > file/in
rm emptied/e; echo again > emptied/again
echo more >> grown; : > cut; echo whole > other
chmod 600 touched; chmod 711 keep; echo in > keep/in; chmod 750 many
rm many/1; mv many/2 many/two; mv many/3 many/4; echo five > many/5; ln many/5 many/cinq
ln linked linked2; ln -s nowhere dangling; mkfifo fifo; mkdir -p fresh/deep/er; echo f > fresh/deep/er/f
cp -r a copy; mv a/b/g moved; mkdir a/b/c; rm weird; mkdir weird; rmdir weird
echo 'odd name' > "x y"; echo utf > 'ü'; mkdir empty; mkdir -m 1777 sticky
mkdir temp; echo t > temp/t; rm -r temp; mkdir temp; echo u > temp/u
head -c 100000 /dev/zero > zeros; truncate -s 1M sparse
)";

/// Whole seconds before any change: what is later, is written as this.
const DiffOptions one_time{.latest_time = 1000000000};

struct Change {
  ScratchDirectory scratch;
  fs::path base = scratch.directory("base"), upper = scratch.directory("upper"), work = scratch.directory("work"),
           merged = scratch.directory("merged");

  Change() { run_script_in(base, before); }
  void make(UnionForm form, const std::string& script) {
    in_union({form, {base}, upper, work}, merged, [&](const auto& root) {
      run_script_in(root, script);
      return std::string();
    });
  }
  DiffResult write(UnionForm form, std::string* tar = nullptr) {
    MemorySink sink;
    const DiffWriter<Sha256, Uncompressed> writer;
    DiffResult result = writer.write_upper(upper, form, {base}, kernel_form(), sink, one_time);
    const std::string text = sink.take();
    MemorySource layer(text);
    writer.prove_upper(upper, form, {base}, kernel_form(), layer, scratch.path(), one_time);
    if (tar != nullptr) *tar = text;
    return result;
  }
};

/// The entries of a layer, a line each.
std::string entries_of(const std::string& tar) {
  MemorySource source(tar);
  TarReader reader(source);
  std::ostringstream lines;
  while (const TarEntry* entry = reader.next()) {
    lines << entry->path << " " << static_cast<int>(entry->type) << " " << std::oct << entry->mode << std::dec << " "
          << entry->uid << ":" << entry->gid << " " << entry->size << " @" << entry->mtime.seconds << "."
          << entry->mtime.nanoseconds << " " << entry->link;
    for (const auto& [name, value] : entry->xattrs) lines << " " << name << "=" << value;
    lines << "\n";
  }
  return lines.str();
}

std::string told(const fs::path& upper, UnionForm form, const fs::path& base) {
  run_script("touch -r '" + base.native() + "' '" + upper.native() + "'");
  const MergedView view = mixed_view(upper, form, base, kernel_form());
  ChangeList list;
  Report report;
  changes_of_upper(view, view.below(), list, {}, report);
  return list.text;
}

}  // namespace

TEST_CASE("the same changes give the same layer under every union", "[union_form_upper]") {
  const UnionForm form = GENERATE(UnionForm::fuse_overlayfs, UnionForm::unionfs_fuse);
  INFO(to_string(form));
  for (const UnionForm needed : {kernel_form(), form})
    if (const std::string& why = why_no_union(needed); !why.empty()) return skip(needed, why);
  // No program without privileges gives its owner's attributes to what it makes, and unionfs-fuse none at all.
  const bool xattrs = form == UnionForm::fuse_overlayfs;
  const std::string all =
      changes + (xattrs ? "setfattr -n user.note -v 1 touched; setfattr -n user.note -v 2 keep" : "");
  Change kernel, other;
  kernel.make(kernel_form(), all);
  other.make(form, all);
  std::string expected, is;
  const DiffResult by_kernel = kernel.write(kernel_form(), &expected);
  const DiffResult by_other = other.write(form, &is);
  CHECK(told(kernel.upper, kernel_form(), kernel.base) == told(other.upper, form, other.base));
  CHECK(difference(entries_of(expected), entries_of(is)) == "");
  CHECK(by_kernel.diff_id == by_other.diff_id);
  CHECK(by_kernel.entries > 40);
}

TEST_CASE("random changes are told as the program shows them", "[union_form_upper]") {
  const UnionForm form = GENERATE(UnionForm::fuse_overlayfs, UnionForm::unionfs_fuse);
  INFO(to_string(form));
  if (const std::string& why = why_no_union(form); !why.empty()) return skip(form, why);
  for (unsigned seed = 0; seed < 8; ++seed) {
    INFO(seed);
    Change change;
    change.merged = change.scratch.directory("merged");
    RandomChanges(change.base, seed).make(40);
    // Of lower files of several names fuse-overlayfs shows, for all of them, what it happened to look at first.
    const fs::path parted = change.scratch.path() / "parted";
    run_script("cp -a --no-preserve=links '" + change.base.native() + "' '" + parted.native() + "'");
    change.base = parted;
    const FormMount mount{form, {change.base}, change.upper, change.work};
    in_union(mount, change.merged, [&](const auto& root) {
      RandomChanges(root, 500 + seed).make(60);
      return std::string();
    });
    // Mounted again: neither knows any more what it did, only what is there.
    const auto shown = [&](const std::string& text) {
      // Nor does it always show that names of the upper are one file's.
      return without(" same as [^]*?(?=\n\\.|$)", shown_by(text, form));
    };
    const std::string seen = shown(in_union(mount, change.merged, tree_text));
    const MergedView view = mixed_view(change.upper, form, change.base, kernel_form());
    CHECK(difference(seen, shown(view_text(view))) == "");
    change.write(form);
  }
}

TEST_CASE("an upper of AUFS is read as one was seen to be", "[union_form_upper]") {
  Change change;
  run_script_in(change.base, "rm -r *; mkdir -p d e op; touch a b c d/x d/y e/q op/z");
  run_script_in(change.upper, R"(
    mkdir -m 700 .wh..wh.orph .wh..wh.plnk; touch .wh..wh.plnk/12.34; mkdir d2 op; echo x > b; echo 1 > d2/x; echo 2 > d2/y
    echo n > op/n; touch .wh..wh.aufs; for f in .wh.a .wh.d .wh.e op/.wh..wh..opq; do ln .wh..wh.aufs $f; done
    chmod 444 .wh..wh.aufs)");
  CHECK(told(change.upper, UnionForm::aufs, change.base) ==
        ".wh.a\n.wh.d\n.wh.e\nb\nd2/\nd2/x\nd2/y\nop/\nop/.wh..wh..opq\nop/n\n");
  change.write(UnionForm::aufs);
}

TEST_CASE("an upper of fuse-overlayfs is read as one was seen to be", "[union_form_upper]") {
  Change change;
  run_script_in(change.base, "rm -r *; mkdir -p d op; touch d/x f op/q z; mkdir pair; touch pair/old");
  run_script_in(change.upper, R"(
    mknod f c 0 0; mkdir d fresh; mknod op c 0 0; mkdir op2; echo n > d/n; echo q > op2/q; echo file > pair
    for d in d fresh op2; do mknod $d/.wh..opq c 0 0; : > $d/.wh..wh..opq; done
    setfattr -n user.fuseoverlayfs.opaque -v y d; echo z > z; ln z z2
    setfattr -n user.fuseoverlayfs.origin -v z z; setfattr -n user.a -v b z)");
  CHECK(told(change.upper, UnionForm::fuse_overlayfs, change.base) ==
        ".wh.f\n.wh.op\nd/\nd/.wh..wh..opq\nd/n\nfresh/\nop2/\nop2/q\npair\nz\nz2 = z\n");
  std::string tar;
  change.write(UnionForm::fuse_overlayfs, &tar);
  CHECK(tar.find("user.a") != std::string::npos);
  CHECK(tar.find("fuseoverlayfs") == std::string::npos);
}

TEST_CASE("an upper of unionfs-fuse is read as one was seen to be", "[union_form_upper]") {
  Change change;
  run_script_in(change.base,
                "rm -r *; mkdir -p d op deep/er; touch d/x f op/q z deep/er/gone deep/er/kept deep/k; mkdir pair; "
                "touch pair/old");
  run_script_in(change.upper, R"(
    mkdir -p .unionfs-fuse/d .unionfs-fuse/d_HIDDEN~ .unionfs-fuse/op_HIDDEN~ .unionfs-fuse/pair .unionfs-fuse/deep/er
    touch .unionfs-fuse/d/x_HIDDEN~ .unionfs-fuse/f_HIDDEN~ .unionfs-fuse/pair/old_HIDDEN~
    touch .unionfs-fuse/deep/er/gone_HIDDEN~
    mkdir d op2; echo n > d/n; echo q > op2/q; echo file > pair; echo a > a_HIDDEN~)");
  CHECK(told(change.upper, UnionForm::unionfs_fuse, change.base) ==
        ".wh.f\n.wh.op\na_HIDDEN~\nd/\nd/.wh..wh..opq\nd/n\ndeep/\ndeep/er/\ndeep/er/.wh.gone\nop2/\nop2/q\npair\n");
  change.write(UnionForm::unionfs_fuse);
}

TEST_CASE("a file whose owner and mode fuse-overlayfs keeps in an attribute is refused", "[union_form_upper]") {
  Change change;
  run_script_in(change.upper, "echo 1 > f; setfattr -n user.fuseoverlayfs.override_stat -v 0:0:100644 f");
  const Error error = error_of([&] { change.write(UnionForm::fuse_overlayfs); });
  CHECK(error.code() == errc::unsupported);
  CHECK(error.subject() == quoted((change.upper / "f").native()));
}
