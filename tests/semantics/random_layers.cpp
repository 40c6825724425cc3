// Random chains of layers, with everything a layer can say about a handful of names: in every form they give what the
// model gives (layer_forms.hpp). A chain that fails is made smaller as long as it fails, and told.

#include "support/catch.hpp"
#include "support/chosen_layer.hpp"
#include "support/layer_forms.hpp"

#include <cstdlib>
#include <optional>
#include <random>

using namespace strata;
using namespace strata::test;

namespace {

/// How many chains, by the environment: 10,000 make a good night's run.
unsigned chains() {
  const char* const text = std::getenv("STRATA_SEEDS");
  return text ? static_cast<unsigned>(std::atoi(text)) : 300;
}
/// The first seed, to see one again.
unsigned first_seed() {
  const char* const text = std::getenv("STRATA_FIRST_SEED");
  return text ? static_cast<unsigned>(std::atoi(text)) : 0;
}

using RandomChain = std::vector<ChosenLayer>;

std::string text_of(const RandomChain& chain) {
  std::string text;
  for (const ChosenLayer& layer : chain) text += " layer\n" + text_of(layer);
  return text;
}

/// What is wrong with a chain; empty: nothing.
std::string failure(const RandomChain& chain, bool mount) {
  try {
    LayerForms forms(mount);
    for (const ChosenLayer& layer : chain)
      if (std::string wrong = forms.add(bytes_of(layer)); !wrong.empty()) return wrong;
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// Takes away layers and entries one by one, as long as the chain still fails.
RandomChain smaller(RandomChain chain, bool mount) {
  for (bool shrunk = true; shrunk;) {
    shrunk = false;
    const auto attempt = [&](const RandomChain& less) {
      if (failure(less, mount).empty()) return false;
      chain = less;
      return shrunk = true;
    };
    for (std::size_t layer = 0; layer < chain.size();) {
      RandomChain less = chain;
      less.erase(less.begin() + static_cast<std::ptrdiff_t>(layer));
      if (!attempt(less)) ++layer;
    }
    for (std::size_t layer = 0; layer < chain.size(); ++layer)
      for (std::size_t entry = 0; entry < chain[layer].size();) {
        RandomChain less = chain;
        less[layer].erase(less[layer].begin() + static_cast<std::ptrdiff_t>(entry));
        if (less[layer].empty() || !attempt(less)) ++entry;
      }
  }
  return chain;
}

}  // namespace

TEST_CASE("Random layers mean what the model says, in every form", "[semantics]") {
  const ScratchDirectory probe;
  const bool mount = can_mount_overlay(probe.path());
  unsigned taken = 0, failed = 0;
  for (unsigned seed = first_seed(); seed < first_seed() + chains() && failed < 5; ++seed) {
    std::mt19937 random(seed);
    LayerChooser chooser([&random](unsigned n) { return static_cast<unsigned>(random() % n); }, false);
    RandomChain chain;
    LayerForms forms(mount);
    const unsigned layers = 1 + static_cast<unsigned>(random() % 5);
    std::string wrong;
    for (unsigned tries = 0; chain.size() < layers && tries < 12 && wrong.empty(); ++tries) {
      chain.push_back(chooser.choose());
      try {
        wrong = forms.add(bytes_of(chain.back()));
      } catch (const std::exception& error) {
        wrong = error.what();
      }
      if (!wrong.empty()) break;
      if (forms.taken())
        ++taken;
      else
        chain.pop_back();
    }
    if (wrong.empty()) continue;
    ++failed;
    const RandomChain small = smaller(chain, mount);
    FAIL_CHECK("seed " << seed << ":\n" << text_of(small) << failure(small, mount));
  }
  CHECK((failed != 0 || taken >= chains()));
}
