// Another process keeps swapping directories of the target for symlinks to a directory outside, while layers are
// applied, imported and unpacked. What they do to the target is then anyone's guess, and may be refused; what is
// outside must stay as it is.

#include "support/catch.hpp"
#include "support/layer_entries.hpp"
#include "support/scratch.hpp"
#include "support/tree_text.hpp"

#include <strata/apply.hpp>
#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include <boost/filesystem/fstream.hpp>

#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <new>

using namespace strata;
using namespace strata::test;

namespace fs = boost::filesystem;

namespace {

/// Names that the layers have and that exist outside as well.
const std::vector<std::string> names = {"a", "b", "a/s", "gone"};

/// Exchanges directories for symlinks, and back, until it is destroyed.
class Swapper {
 public:
  /// `places`: directories that may have `names` in them; with "*" last, so do those in it (fs/ or tree/fs).
  Swapper(const fs::path& scratch, const fs::path& outside, std::vector<fs::path> places)
      : links_(scratch / "links"), outside_(outside), places_(std::move(places)) {
    fs::create_directory(links_);
    void* const shared = ::mmap(nullptr, sizeof *swaps_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) throw std::runtime_error("cannot share memory");
    swaps_ = new (shared) std::atomic<unsigned>(0);
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("cannot fork");
    if (child_ != 0) return;
    for (const pid_t parent = ::getppid(); ::getppid() == parent;) swap_all();
    ::_exit(0);
  }
  Swapper(const Swapper&) = delete;
  Swapper& operator=(const Swapper&) = delete;
  ~Swapper() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::munmap(swaps_, sizeof *swaps_);
  }
  unsigned swaps() const { return *swaps_; }

 private:
  void swap_all() {
    for (const fs::path& place : places_) {
      if (place.filename() != "*") {
        swap_in(place);
        continue;
      }
      boost::system::error_code error;
      for (fs::directory_iterator at(place.parent_path(), error), end; !error && at != end; at.increment(error))
        for (const char* below : {"fs", "tree/fs"}) swap_in(at->path() / below);
    }
  }
  void swap_in(const fs::path& place) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      // Not through what was swapped before: that would change what is outside.
      const std::string name = names[i].substr(names[i].rfind('/') + 1);
      int dir = ::open(place.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (dir >= 0 && name != names[i]) {
        const int parent = dir;
        dir = ::openat(parent, names[i].substr(0, names[i].find('/')).c_str(),
                       O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        ::close(parent);
      }
      if (dir < 0) continue;
      swap(dir, name, links_ / std::to_string(i), outside_ / names[i]);
      ::close(dir);
    }
  }
  void swap(int dir, const std::string& name, const fs::path& link, const fs::path& target) {
    struct stat st {};
    if (::fstatat(dir, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) return;
    // What an exchange left there and nobody took back is put away.
    if (::lstat(link.c_str(), &st) == 0 && !S_ISLNK(st.st_mode))
      ::rename(link.c_str(), (links_ / ("away" + std::to_string(put_away_++))).c_str());
    if (::symlink(target.c_str(), link.c_str()) != 0 && errno != EEXIST) return;
    if (::syscall(SYS_renameat2, AT_FDCWD, link.c_str(), dir, name.c_str(), RENAME_EXCHANGE) != 0) return;
    ++*swaps_;
    for (unsigned spin = 0; spin < put_away_ % 64; ++spin) ::sched_yield();
    (void)::syscall(SYS_renameat2, AT_FDCWD, link.c_str(), dir, name.c_str(), RENAME_EXCHANGE);
  }

  fs::path links_, outside_;
  std::vector<fs::path> places_;
  pid_t child_ = -1;
  std::atomic<unsigned>* swaps_ = nullptr;
  unsigned put_away_ = 0;
};

struct Race {
  ScratchDirectory scratch;
  fs::path outside = scratch.directory("outside"), target = scratch.directory("target");
  std::string before;

  Race() {
    for (const std::string& name : names) {
      fs::create_directories(outside / name / "deep");
      for (const char* file : {"f", "x", "deep/f", "new"}) fs::ofstream(outside / name / file) << "untouched";
      // A mode that something would be opened up from, and a file that can't be mistaken for one of a layer.
      ::chmod((outside / name / "deep").c_str(), 0555);
    }
    before = tree_text(outside);
  }
  void check() const { CHECK(difference(before, tree_text(outside)) == ""); }

  /// Directories with and without their owner's rights, replaced, merged, emptied and deleted.
  static std::vector<std::string> layers() {
    return {layer({dir("a", "0000555"), file("a/f"), file("a/x"), dir("a/s", "0000500"), file("a/s/f"), file("a/s/x"),
                   dir("a/deep"), file("a/deep/f"), dir("b", "0000311"), file("b/f"), dir("gone"), dir("gone/deep"),
                   file("gone/f"), file("gone/deep/f"), pipe_file("a/pipe"), hard_link("b/link", "a/f")}),
            layer({file("a/new"), file("a/s/new"), whiteout("a/.wh.f"), dir("b", "0000700"), whiteout("b/.wh..wh..opq"),
                   hard_link("b/x", "a/x"), whiteout(".wh.gone")}),
            layer({dir("gone", "0000400"), file("gone/f"), dir("gone/deep", "0000100"), file("gone/deep/f"),
                   whiteout("a/s/.wh..wh..opq"), file("b"), whiteout("a/.wh.deep")})};
  }
};

template <class Work>
unsigned for_a_while(Work work) {
  unsigned done = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(3);
  while (std::chrono::steady_clock::now() < end) {
    try {
      work();
      ++done;
    } catch (const Error&) {
      // A directory that was there a moment ago was a symlink now.
    }
  }
  return done;
}

}  // namespace

TEST_CASE("Nothing outside changes while directories become symlinks under apply", "[semantics]") {
  const Race race;
  unsigned done = 0, next = 0;
  {
    const Swapper swapper(race.scratch.path(), race.outside, {race.target, race.target / "*"});
    const auto layers = Race::layers();
    done = for_a_while([&] {
      MemorySource source(layers[next++ % layers.size()]);
      apply_flat(source, race.target);
    });
    CHECK(swapper.swaps() > 0);
  }
  CHECK(next > done);  // some met a swap
  race.check();
}

TEST_CASE("Nothing outside changes while directories become symlinks under import and unpack", "[semantics]") {
  const Race race;
  const fs::path store_path = race.scratch.path() / "store";
  LayerStore<> whole{race.scratch.path() / "whole", {.durability = Durability::none}};
  std::optional<Digest> top;
  for (const std::string& tar : Race::layers()) top = whole.import(MemorySource(tar), {.parent = top}).id;
  LayerStore<> store{store_path, {.durability = Durability::none}};
  {
    const Swapper swapper(race.scratch.path(), race.outside, {race.target, store_path / "staging" / "*"});
    unsigned round = 0;
    for_a_while([&] {
      // Moved away and not deleted: what deletes it here might follow what is swapped.
      ::rename(race.target.c_str(), (race.scratch.path() / ("done" + std::to_string(round++))).c_str());
      whole.unpack(*top, race.target);
    });
    for_a_while([&] {
      const std::string number = std::to_string(round++);
      std::optional<Digest> parent;
      for (const std::string& tar : Race::layers()) {
        TarBuilder again{tar.substr(0, tar.size() - 1024)};
        parent = store.import(MemorySource(again.add(file("number", number)).end().bytes), {.parent = parent}).id;
      }
    });
    CHECK(swapper.swaps() > 0);
  }
  race.check();
}
