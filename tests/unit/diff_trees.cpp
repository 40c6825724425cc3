#include <strata/diff_writer.hpp>
#include <strata/error.hpp>

#include "support/apply_layer.hpp"
#include "support/catch.hpp"
#include "support/random_changes.hpp"
#include "support/tree_changes.hpp"
#include "support/tree_text.hpp"

#include <fstream>

using namespace strata;
using namespace strata::test;

namespace {

/// KiB that /proc/self/status says.
long memory(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return std::stol(line.substr(field.size() + 1));
  return 0;
}

}  // namespace

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

TEST_CASE("names are compared in whatever order the directories have them", "[diff]") {
  const ScratchDirectory scratch;
  const auto older = scratch.directory("older"), newer = scratch.directory("newer");
  run_script_in(older, "mkdir d; for i in $(seq 100 199); do echo $i > d/$i; done; touch -d @5 d d/* .");
  // As good as no two of them are near each other.
  run_script_in(newer,
                "mkdir d; for i in $(seq 199 -1 100); do echo $i > d/$(((i * 37) % 100 + 100)); done;"
                "for i in d/*; do basename $i > $i; done; for i in $(seq 10); do : > d/150-$i; done;"
                "echo xyz > d/170; rm d/120 d/121 d/122 d/123 d/124 d/125 d/199; touch -d @5 d d/* .");
  ChangeList told;
  Report report;
  changes_between(detail::MergedView({older}, detail::MergedView::Marks::none),
                  detail::MergedView({newer}, detail::MergedView::Marks::none), told, {}, report);
  std::vector<std::string> names;
  for (const TarEntry& entry : told.entries) names.push_back(entry.path);
  const std::vector<std::string> expected{"d/",        "d/.wh.120", "d/.wh.121", "d/.wh.122", "d/.wh.123",
                                          "d/.wh.124", "d/.wh.125", "d/.wh.199", "d/150-1",   "d/150-10",
                                          "d/150-2",   "d/150-3",   "d/150-4",   "d/150-5",   "d/150-6",
                                          "d/150-7",   "d/150-8",   "d/150-9",   "d/170"};
  CHECK(names == expected);
}

TEST_CASE("what is the same in a large directory takes next to no memory", "[diff]") {
  const ScratchDirectory scratch;
  const auto older = scratch.directory("older"), newer = scratch.directory("newer");
  for (const auto& tree : {older, newer})
    run_script_in(tree, "seq -f 'a-file-of-a-name-%.0f' 20000 | xargs touch -d @5; touch -d @5 .");
  std::ofstream reset("/proc/self/clear_refs");
  if (!(reset << "5" << std::flush)) {
    WARN("skipped: the peak of what this process takes can't be set back");
    return;
  }
  const long before = memory("VmRSS");
  ChangeList told;
  Report report;
  changes_between(detail::MergedView({older}, detail::MergedView::Marks::none),
                  detail::MergedView({newer}, detail::MergedView::Marks::none), told, {}, report);
  CHECK(told.entries.empty());
  CHECK(memory("VmHWM") - before < 8 << 10);
}
