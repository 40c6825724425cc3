// Random chains of layers, with everything a layer can say about a handful of names: applied flat one after the other,
// stored and unpacked, stored and mounted, and as an upper directory over the flat lower layers, each gives the same
// filesystem; each layer comes out of the store byte for byte. A layer that is refused is refused in every form.

#include "support/catch.hpp"
#include "support/chosen_layer.hpp"
#include "support/layer_forms.hpp"
#include "support/private_overlay.hpp"
#include "support/scratch.hpp"

#include <cstdlib>
#include <random>

using namespace strata;
using namespace strata::test;

namespace {

/// How many chains, by the environment: 10,000 make a good night's run.
unsigned chains() {
  const char* const text = std::getenv("STRATA_SEEDS");
  return text ? static_cast<unsigned>(std::atoi(text)) : 100;
}
/// The first seed, to see one again.
unsigned first_seed() {
  const char* const text = std::getenv("STRATA_FIRST_SEED");
  return text ? static_cast<unsigned>(std::atoi(text)) : 0;
}

/// One chain, in all forms side by side.
class Chain {
 public:
  explicit Chain(bool mount) : mount_(mount) {}

  /// False where the layer was refused.
  bool add(const std::string& tar) {
    if (mount_) apply_over(tar);
    CHECK(forms_.add(tar) == "");
    if (forms_.refused()) return false;
    if (mount_) compare_mounts();
    return true;
  }

 private:
  void apply_over(const std::string& tar) {
    ++count_;
    over_ = scratch_.directory("over" + std::to_string(count_));
    MemorySource source(tar);
    try {
      apply_overlay(source, over_, {forms_.flat()});
    } catch (const Error&) {
      CHECK(contents_of(over_) == "");
      return;
    }
    over_text_ = in_overlay({{over_, forms_.flat()}, "", "", ""}, mounted_, contents_of);
  }

  void compare_mounts() {
    const std::string flat = contents_of(forms_.flat());
    CHECK(difference(flat, over_text_) == "");
    const LayerStore<>& store = forms_.store();
    const PrivateOverlay overlay{store.lowers(store.get(forms_.top())), scratch_.directory("upper"),
                                 scratch_.directory("work"), ""};
    CHECK(difference(flat, in_overlay(overlay, mounted_, contents_of)) == "");
  }

  ScratchDirectory scratch_;
  LayerForms forms_{scratch_.directory("forms")};
  boost::filesystem::path mounted_ = scratch_.directory("mounted"), over_;
  std::string over_text_;
  bool mount_;
  unsigned count_ = 0;
};

}  // namespace

TEST_CASE("Random layers mean the same in every form", "[semantics]") {
  const ScratchDirectory probe;
  const bool mount = can_mount_overlay(probe.path());
  unsigned taken = 0;
  for (unsigned seed = first_seed(); seed < first_seed() + chains(); ++seed) {
    std::mt19937 random(seed);
    Chain chain(mount);
    std::string said;
    for (unsigned layers = 0, tries = 0; layers < 4 && tries < 12; ++tries) {
      const ChosenLayer layer([&random](unsigned n) { return static_cast<unsigned>(random() % n); });
      INFO("seed " << seed << ", layers:\n" << said << "this one:\n" << layer.text());
      if (!chain.add(layer.bytes())) continue;
      ++layers;
      ++taken;
      said += layer.text() + "  --\n";
    }
  }
  CHECK(taken >= chains());
}
