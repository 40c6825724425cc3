// A store's trees in other union forms: made once, shared, and gone with their trees.
#include <strata/diff_writer.hpp>
#include <strata/error.hpp>

#include "store/core.hpp"
#include "store/translations.hpp"
#include "tree/merged_view.hpp"

#include "support/catch.hpp"
#include "support/damage.hpp"
#include "support/small_store.hpp"
#include "support/tree_text.hpp"
#include "support/view_text.hpp"

#include <atomic>
#include <thread>

using namespace strata;
using namespace strata::test;
using strata::detail::MergedView;

namespace {

using Paths = std::vector<fs::path>;

MergedView view_of(const Paths& stack, UnionForm form) {
  std::vector<MergedView::Layer> layers;
  for (const fs::path& path : stack) layers.push_back({path, form});
  return MergedView::of(layers);
}

std::size_t count(const fs::path& directory) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

struct Translated : RichStore {
  UnionForm form;
  Paths lowers;

  explicit Translated(UnionForm to) : form(to), lowers(again()) {}
  Paths again() const { return store.core()->lowers(store.get(rich.id), form); }
  fs::path room() const { return store.root() / "translated" / std::string(to_string(form)) / "sha256"; }
};

}  // namespace

TEST_CASE("a chain in another form shows the same, and its trees are as whole as before") {
  const UnionForm form =
      GENERATE(UnionForm::overlay_xattr_user, UnionForm::fuse_overlayfs, UnionForm::aufs, UnionForm::unionfs_fuse);
  INFO(to_string(form));
  const Translated f(form);
  const auto layer = f.store.get(f.rich.id);
  CHECK(f.lowers.size() == 2);
  CHECK(difference(view_text(view_of(f.store.core()->lowers(layer), f.store.form())),
                   view_text(view_of(f.lowers, form))) == "");
  CHECK(f.verified(VerifyLevel::proving) == "");
  CHECK(f.exported() == f.tar);
  CHECK(count(f.store.root() / "staging") == 0);
}

TEST_CASE("a tree is translated once, whoever asks for it at the same time") {
  const RichStore f;
  std::vector<std::thread> threads;
  std::atomic<int> same{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      const LayerStore<> store(f.store.root(), {.durability = Durability::none});
      const Paths paths = store.core()->lowers(store.get(f.rich.id), UnionForm::aufs);
      if (paths.size() == 2 && fs::exists(paths[0] / ".wh.w") && fs::exists(paths[1])) ++same;
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(same == 4);
  CHECK(count(f.store.root() / "translated/aufs/sha256") == 2);
  CHECK(count(f.store.root() / "staging") == 0);
  const auto made = fs::last_write_time(f.store.root() / "translated/aufs/sha256");
  (void)f.store.core()->lowers(f.store.get(f.rich.id), UnionForm::aufs);
  CHECK(fs::last_write_time(f.store.root() / "translated/aufs/sha256") == made);
}

TEST_CASE("the store's own form needs no translation") {
  const RichStore f;
  const auto layer = f.store.get(f.rich.id);
  CHECK(f.store.core()->lowers(layer, f.store.form()) == f.store.core()->lowers(layer));
  CHECK_FALSE(fs::exists(f.store.root() / "translated"));
}

TEST_CASE("a translation goes with its tree") {
  Translated f(UnionForm::aufs);
  SECTION("removed") {
    f.store.remove(f.rich.id);
    CHECK(count(f.room()) == 1);
    f.store.remove(f.base);
    CHECK(count(f.room()) == 0);
  }
  SECTION("as garbage, counted once") {
    const GcOptions all{.min_age = std::chrono::seconds(0)};
    GcOptions dry = all;
    dry.dry_run = true;
    const GcResult told = f.store.gc(dry);
    CHECK(count(f.room()) == 2);
    const GcResult done = f.store.gc(all);
    CHECK(done.exclusive_bytes == told.exclusive_bytes);
    CHECK(done.files == told.files);
    CHECK(done.shared_bytes == 0);
    CHECK(count(f.room()) == 0);
    CHECK(f.store.gc(all).files == 0);
  }
  SECTION("where a crash has taken the tree alone") {
    f.store.remove(f.rich.id);
    fs::create_directory(f.room() / std::string(64, 'a'));
    CHECK(f.store.gc({.min_age = std::chrono::hours(1)}).files == 1);
    CHECK(count(f.room()) == 1);
  }
  CHECK(count(f.store.root() / "staging") == 0);
}

TEST_CASE("a repair drops the translations of a tree, which have its bad files") {
  Translated f(UnionForm::aufs);
  const std::string before = view_text(view_of(f.lowers, f.form));
  fs::resize_file(f.root() / "one", 0);
  MemorySource source(f.tar);
  CHECK(told(f.store.repair(f.rich.id, {.source = &source}).left) == "");
  CHECK(count(f.room()) == 1);
  CHECK(f.again() == f.lowers);
  CHECK(difference(before, view_text(view_of(f.lowers, f.form))) == "");
}

TEST_CASE("what is copied up but identical is no change, though a translation has its file too") {
  const RichStore f;
  Container container;
  container.layer = f.rich.id;
  container.directory = f.scratch.directory("container");
  fs::create_directory(container.upper());
  REQUIRE(std::system(("cd '" + f.root().native() + "' && cp -a --parents one two '" + container.upper().native() +
                       "' && touch -r . '" + container.upper().native() + "' && chmod --reference=. '" +
                       container.upper().native() + "'")
                          .c_str()) == 0);
  MemorySink with, without;
  DiffWriter<>().write(f.store, container, without);
  (void)f.store.core()->lowers(f.store.get(f.rich.id), UnionForm::aufs);
  DiffWriter<>().write(f.store, container, with);
  CHECK(with.take() == without.take());
}

TEST_CASE("what a form can't say is refused by name, and leaves nothing") {
  SmallStore f;
  const Digest id = f.import("x_HIDDEN~");
  const auto lowers = [&](UnionForm form) { return f.store.core()->lowers(f.store.get(id), form); };
  try {
    (void)lowers(UnionForm::unionfs_fuse);
    FAIL("translated");
  } catch (const Error& error) {
    CHECK(error.code() == errc::unsupported);
    CHECK(error.subject() == quoted("x_HIDDEN~"));
  }
  CHECK(count(f.root / "staging") == 0);
  CHECK(lowers(UnionForm::aufs).size() == 1);
}

TEST_CASE("a translation can be stopped, and leaves nothing") {
  RichStore f;
  std::stop_source stop;
  stop.request_stop();
  try {
    (void)f.store.core()->lowers(f.store.get(f.rich.id), UnionForm::aufs, {.stop = stop.get_token()});
    FAIL("translated");
  } catch (const Error& error) {
    CHECK(error.code() == errc::cancelled);
  }
  CHECK(count(f.store.root() / "staging") == 0);
}

TEST_CASE("a store is made in one of the kernel's forms alone") {
  const ScratchDirectory scratch;
  try {
    const LayerStore<> store(scratch.path() / "store", {.form = UnionForm::aufs});
    FAIL("made");
  } catch (const Error& error) {
    CHECK(error.code() == errc::unsupported);
  }
}
