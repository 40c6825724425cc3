#include <strata/explain.hpp>

#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/layer_entries.hpp"
#include "support/scratch.hpp"

#include <cerrno>

using namespace strata;
using namespace strata::test;

namespace {

/// A chain of layers, base first.
class Chain {
 public:
  explicit Chain(const std::vector<std::string>& layers) {
    for (const std::string& tar : layers) {
      ImportOptions options;
      if (!ids_.empty()) options.parent = ids_.back();
      ids_.push_back(store_.import(MemorySource(tar), options).id);
    }
  }
  Explanation explain(std::string_view path) const { return store_.explain(ids_.back(), path); }
  /// All that is said of a path, layers by their place in the chain: "kind content attributes: has cover, …", topmost
  /// first.
  std::string told(std::string_view path) const {
    const Explanation found = explain(path);
    std::string text = std::string(to_string(found.kind)) + " " + number(found.content) + number(found.attributes);
    for (const Explanation::AtLayer& at : found.layers) {
      text += &at == &found.layers.front() ? ": " : ", ";
      text += std::string(to_string(at.has)) + (at.opaque ? "!" : "") + (at.shown ? "*" : "");
      if (at.cover)
        text += " " + std::string(to_string(at.cover->kind)) + " " + number(at.cover->layer) + "/" + at.cover->path;
    }
    return text;
  }
  const Digest& id(std::size_t layer) const { return ids_.at(layer); }
  const LayerStore<>& store() const { return store_; }

 private:
  std::string number(const std::optional<Digest>& id) const {
    if (!id) return "-";
    return std::to_string(std::find(ids_.begin(), ids_.end(), *id) - ids_.begin());
  }
  ScratchDirectory scratch_;
  LayerStore<> store_{scratch_.path() / "store", {.durability = Durability::none}};
  std::vector<Digest> ids_;
};

const std::string base = layer({dir("."), dir("d"), file("d/a", "aaa"), file("d/b", "bb"), dir("d/s"), file("d/s/x"),
                                file("top"), hard_link("same", "top"), soft_link("link", "d"),
                                soft_link("far", "/link/../link/s"), soft_link("loop", "loop")});

}  // namespace

TEST_CASE("A file comes from the topmost layer that has it, which replaces the others") {
  const Chain chain({base, layer({dir("d"), file("d/a", "new")}), layer({file("d/c")})});
  CHECK(chain.told("d/a") == "file 11: nothing, file*, file replaced 1/d/a");
  CHECK(chain.told("d/b") == "file 00: nothing, nothing, file*");
  CHECK(chain.told("d/c") == "file 22: file*, nothing replaced 2/d/c, nothing replaced 2/d/c");
  CHECK(chain.told("d/none") == "nothing --: nothing, nothing, nothing");
  CHECK(chain.told("d/a/under") == "nothing --: nothing, nothing, nothing replaced 1/d/a");
}

TEST_CASE("A tree that is twice in a chain is told once, where it is topmost") {
  const std::string twice = layer({file("again")});
  const Chain chain({base, twice, layer({whiteout(".wh.again")}), twice});
  CHECK(chain.told("again") == "file 33: file*, whiteout replaced 3/again, nothing replaced 3/again");
  CHECK(chain.told("top") == "file 00: nothing, nothing, file*");
  CHECK(chain.told("") == "directory -0: directory*, directory*, directory*");
}

TEST_CASE("Directories are merged; their attributes are those of the topmost tar that lists them") {
  const Chain chain({base, layer({dir("d", "0000711"), file("d/e")}), layer({file("d/s/new")})});
  CHECK(chain.told("d") == "directory -1: directory*, directory*, directory*");
  CHECK(chain.told("d/s") == "directory -0: directory*, nothing, directory*");
  CHECK(chain.told("") == "directory -0: directory*, directory*, directory*");
  const Chain unlisted({layer({file("a/b")})});
  CHECK(unlisted.told("a") == "directory --: directory*");
  CHECK(unlisted.told("/") == "directory --: directory*");
}

TEST_CASE("Whiteouts and opaque directories are named, on the way as at the end") {
  const Chain chain({base, layer({whiteout(".wh.d"), whiteout(".wh.top")}), layer({dir("d"), file("d/later")})});
  CHECK(chain.told("top") == "nothing --: nothing, whiteout, file whiteout 1/top");
  CHECK(chain.told("d/a") == "nothing --: nothing, nothing, file whiteout 1/d");
  CHECK(chain.told("d") == "directory -2: directory*, whiteout, directory whiteout 1/d");
  CHECK(chain.told("d/later") == "file 22: file*, nothing replaced 2/d/later, nothing replaced 2/d/later");
  const Chain opaque({base, layer({dir("d"), whiteout("d/.wh..wh..opq"), file("d/a")}), layer({file("d/a")})});
  CHECK(opaque.told("d") == "directory -1: directory*, directory!*, directory opaque 1/d");
  CHECK(opaque.told("d/s/x") == "nothing --: nothing, nothing, file opaque 1/d");
  CHECK(opaque.told("d/a") == "file 22: file*, file replaced 2/d/a, file replaced 2/d/a");
}

TEST_CASE("An implied opaque directory has the attributes from below, one over a whiteout none") {
  const Chain marked({base, layer({whiteout("d/.wh..wh..opq"), file("d/n")})});
  CHECK(marked.told("d") == "directory -0: directory!*, directory opaque 1/d");
  const Chain over({base, layer({whiteout(".wh.d"), file("d/n")})});
  CHECK(over.told("d") == "directory --: directory!*, directory opaque 1/d");
}

TEST_CASE("A file over a directory and a directory over a file hide what is below") {
  const Chain chain({base, layer({file("d")}), layer({dir("d"), file("d/n")})});
  CHECK(chain.told("d") == "directory -2: directory*, file replaced 2/d, directory replaced 1/d");
  CHECK(chain.told("d/a") == "nothing --: nothing, nothing, file replaced 1/d");
  const Chain file_on_top({base, layer({file("d")})});
  CHECK(file_on_top.told("d/a") == "nothing --: nothing, file replaced 1/d");
}

TEST_CASE("Symlinks on the way are followed inside the root, and said; one at the end only by a slash") {
  const Chain chain({base, layer({file("d/s/y"), soft_link("out", "../../../../top")})});
  const Explanation through = chain.explain("/far/x");
  CHECK(through.path == "d/s/x");
  CHECK(through.kind == Explanation::Kind::file);
  REQUIRE(through.followed.size() == 3);
  CHECK(through.followed[0].path == "far");
  CHECK(through.followed[0].target == "/link/../link/s");
  CHECK(through.followed[0].layer == chain.id(0));
  CHECK(through.followed[1].path == "link");
  const Explanation itself = chain.explain("out");
  CHECK(itself.kind == Explanation::Kind::symlink);
  CHECK(itself.target == "../../../../top");
  CHECK(itself.followed.empty());
  CHECK(itself.content == chain.id(1));
  const Explanation followed = chain.explain("out/");
  CHECK(followed.path == "top");
  CHECK(followed.followed.at(0).layer == chain.id(1));
  CHECK(chain.explain("link/.").path == "d");
  CHECK(chain.explain("far/../b").path == "d/b");
  try {
    (void)chain.explain("loop/x");
    FAIL("found");
  } catch (const Error& error) {
    CHECK(error.code().value() == ELOOP);
  }
}

TEST_CASE("Paths are understood as people give them") {
  const Chain chain({base});
  for (const char* path : {"d/a", "/d/a", "//d///a", "./d/./a", "/../d/s/../a", "d/nothing/../a"}) {
    INFO(path);
    CHECK(chain.explain(path).path == "d/a");
    CHECK(chain.explain(path).kind == Explanation::Kind::file);
  }
  for (const char* path : {"", "/", ".", "..", "d/.."}) CHECK(chain.explain(path).path.empty());
  CHECK(chain.explain(std::string(300, 'n')).kind == Explanation::Kind::nothing);
  CHECK_THROWS_AS(chain.store().explain(digest_of<Sha256>("other"), "d"), Error);
}

TEST_CASE("The other names of a file in its layer are told") {
  const Chain chain({base, layer({dir("n"), file("n/1"), hard_link("n/2", "n/1"), hard_link("copy", "top")})});
  CHECK(chain.explain("n/1").links == std::vector<std::string>{"n/2"});
  CHECK(chain.explain("d/a").links.empty());
  // A link to a lower file brings all of its names up.
  CHECK(chain.explain("copy").links == std::vector<std::string>{"same", "top"});
  CHECK(chain.told("top") == "file 11: file*, file replaced 1/top");
}

TEST_CASE("A device is told, also where its user could not create it") {
  RawHeader device = entry('3', "null", "0000666");
  device.device_major = octal(1, 7);
  device.device_minor = octal(3, 7);
  const Chain chain({layer({file("null")}), layer({device})});
  const Explanation found = chain.explain("null");
  CHECK((found.kind == Explanation::Kind::device || found.kind == Explanation::Kind::unmade));
  CHECK(found.content == chain.id(1));
  CHECK(found.layers.at(1).cover->kind == Explanation::Cover::Kind::replaced);
}
