#include <strata/diff_writer.hpp>
#include <strata/error.hpp>

#include "support/apply_layer.hpp"
#include "support/catch.hpp"
#include "support/random_changes.hpp"
#include "support/tree_changes.hpp"
#include "support/tree_text.hpp"

using namespace strata;
using namespace strata::test;

TEST_CASE("equal trees have no changes", "[diff]") {
  TreeChange trees("mkdir -p a/b; echo 1 > a/b/f; ln a/b/f a/g; ln -s x l; mkfifo p; setfattr -n user.note -v v a");
  CHECK(trees.tell() == "");
}

TEST_CASE("a tree deeper than one path can say is told", "[diff]") {
  TreeChange trees("true");
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
    run_script("cp -a '" + older.native() + "' '" + newer + "'");
    RandomChanges(newer, 1000 + seed).make(40);
    MemorySink sink;
    const DiffResult result = DiffWriter<Sha256, Uncompressed>().write_trees(older, newer, sink);
    CHECK(result.tar_size == sink.text().size());
    PlainApply(sink.text(), older).run();
    REQUIRE(difference(tree_text(newer), tree_text(older)) == "");
  }
}
