// Random chains of layers, with everything a layer can say about a handful of names: in every form they give what the
// model gives (layer_forms.hpp). A chain that fails is made smaller as long as it fails, and told.

#include "support/catch.hpp"
#include "support/layer_entries.hpp"
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

/// An entry, with an attribute or without.
struct RandomEntry {
  RawHeader header;
  std::string note;

  std::string text() const {
    return std::string("  ") + header.type + " " + header.path + (header.link.empty() ? "" : " -> " + header.link) +
           (header.content.empty() ? "" : " '" + header.content + "'") + " " + header.mode + " " + header.uid + " @" +
           header.mtime + (note.empty() ? "" : " note=" + note) + "\n";
  }
};
using RandomLayer = std::vector<RandomEntry>;
using RandomChain = std::vector<RandomLayer>;

std::string bytes_of(const RandomLayer& layer) {
  TarBuilder tar;
  for (const RandomEntry& entry : layer) {
    if (!entry.note.empty()) tar.pax({{"SCHILY.xattr.user.note", entry.note}});
    tar.add(entry.header);
  }
  return tar.end().bytes;
}

std::string text_of(const RandomChain& chain) {
  std::string text;
  for (const RandomLayer& layer : chain) {
    text += " layer\n";
    for (const RandomEntry& entry : layer) text += entry.text();
  }
  return text;
}

class LayerMaker {
 public:
  explicit LayerMaker(std::mt19937& random) : random_(random) {}

  RandomLayer make() {
    RandomLayer layer;
    for (unsigned left = 1 + below(9); left != 0; --left) layer.push_back(entry());
    return layer;
  }

 private:
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  std::string name() { return std::string(1, static_cast<char>('a' + below(3))); }
  std::string path() {
    std::string path = name();
    for (unsigned more = below(3); more != 0; --more) path += "/" + name();
    return path;
  }
  std::string link_target() {
    const std::string prefixes[] = {"", "/", "../", "./", "../../"};
    return prefixes[below(5)] + path();
  }
  std::string marked(const std::string& path, const std::string& mark) {
    const std::size_t slash = path.rfind('/') + 1;
    return path.substr(0, slash) + mark + path.substr(slash);
  }

  RandomEntry entry() {
    const std::string modes[] = {"0000755", "0000700", "0001777", "0004711", "0000644"};
    const std::string at = path();
    const unsigned time = 1000 + below(5);
    RawHeader header;
    switch (below(14)) {
      case 0:
      case 1:
      case 2:
        header = dir(at, modes[below(4)], time);
        break;
      case 3:
        header = soft_link(at, link_target());
        break;
      case 4:
      case 5:
        header = hard_link(at, path());
        header.mtime = octal(time, 11);
        break;
      case 6:
        header = pipe_file(at);
        break;
      case 7:
      case 8:
        header = whiteout(marked(at, ".wh."));
        break;
      case 9:
        header = whiteout((below(4) == 0 ? "" : at + "/") + ".wh..wh..opq");
        break;
      default:
        header = file(at, std::string(below(4), 'x') + std::to_string(below(100)), modes[below(5)], time);
        if (below(4) == 0) header.content.clear();
    }
    if (::geteuid() == 0 && below(3) == 0) header.uid = octal(below(3), 7);
    const bool noted = (header.type == '0' || header.type == '5') && below(4) == 0;
    return {header, noted ? std::to_string(below(3)) : ""};
  }

  std::mt19937& random_;
};

/// What is wrong with a chain; empty: nothing.
std::string failure(const RandomChain& chain, bool mount) {
  try {
    LayerForms forms(mount);
    for (const RandomLayer& layer : chain)
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
    LayerMaker maker(random);
    RandomChain chain;
    LayerForms forms(mount);
    const unsigned layers = 1 + static_cast<unsigned>(random() % 5);
    std::string wrong;
    for (unsigned tries = 0; chain.size() < layers && tries < 12 && wrong.empty(); ++tries) {
      chain.push_back(maker.make());
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
