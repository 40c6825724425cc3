// Random chains of layers, with everything a layer can say about a handful of names: applied flat one after the other,
// stored and unpacked, stored and mounted, and as an upper directory over the flat lower layers, each gives the same
// filesystem; each layer comes out of the store byte for byte. A layer that is refused is refused in every form.

#include "support/catch.hpp"
#include "support/layer_entries.hpp"
#include "support/private_overlay.hpp"
#include "support/scratch.hpp"
#include "support/tree_text.hpp"

#include <strata/apply.hpp>
#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include <cstdlib>
#include <optional>
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

class RandomLayer {
 public:
  explicit RandomLayer(std::mt19937& random) : random_(random) {}

  std::string bytes() {
    for (unsigned left = 1 + below(9); left != 0; --left) add();
    return tar_.end().bytes;
  }
  /// The entries, for messages.
  const std::string& text() const { return text_; }

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

  void add() {
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
    if (noted) tar_.pax({{"SCHILY.xattr.user.note", std::to_string(below(3))}});
    tar_.add(header);
    text_ += std::string("  ") + header.type + " " + header.path + (header.link.empty() ? "" : " -> " + header.link) +
             " " + header.mode + " " + header.uid + " @" + std::to_string(time) + (noted ? " noted" : "") + "\n";
  }

  std::mt19937& random_;
  TarBuilder tar_;
  std::string text_;
};

/// Everything but the root itself, which no layer here lists.
std::string contents(const boost::filesystem::path& root) {
  const std::string text = tree_text(root);
  return text.substr(text.find('\n') + 1);
}

/// One chain, in all forms side by side.
class Chain {
 public:
  explicit Chain(bool mount) : mount_(mount) {}

  /// False where the layer was refused.
  bool add(const std::string& tar) {
    const std::string before = contents(flat_);
    if (mount_) apply_over(tar);
    std::optional<ImportedLayer> imported;
    std::string refusal;
    try {
      imported = store_.import(MemorySource(tar), {.parent = top_});
    } catch (const Error& error) {
      refusal = error.what();
    }
    try {
      MemorySource source(tar);
      apply_flat(source, flat_);
      INFO("the store alone refused: " << refusal);
      CHECK(imported);
    } catch (const Error& error) {
      INFO("flat alone refused: " << error.what());
      CHECK_FALSE(imported);
      CHECK(difference(before, contents(flat_)) == "");
    }
    if (!imported) return false;
    top_ = imported->id;
    check_stored(tar);
    compare();
    return true;
  }

 private:
  void apply_over(const std::string& tar) {
    ++count_;
    over_ = scratch_.directory("over" + std::to_string(count_));
    MemorySource source(tar);
    std::string lower;
    try {
      apply_overlay(source, over_, {flat_});
    } catch (const Error&) {
      CHECK(contents(over_) == "");
      return;
    }
    over_text_ = in_overlay({{over_, flat_}, "", "", ""}, mounted_, contents);
  }

  void check_stored(const std::string& tar) const {
    MemorySink out;
    store_.export_layer(*top_, out);
    CHECK(out.text() == tar);
    for (const Damage& damage : store_.verify(*top_).damages)
      FAIL_CHECK("verify: " << damage.path << ": " << damage.what);
  }

  void compare() {
    const std::string flat = contents(flat_);
    const auto unpacked = scratch_.path() / ("unpacked" + std::to_string(unpacked_++));
    store_.unpack(*top_, unpacked);
    CHECK(difference(flat, contents(unpacked)) == "");
    if (!mount_) return;
    CHECK(difference(flat, over_text_) == "");
    const PrivateOverlay overlay{store_.lowers(store_.get(*top_)), scratch_.directory("upper"),
                                 scratch_.directory("work"), ""};
    CHECK(difference(flat, in_overlay(overlay, mounted_, contents)) == "");
  }

  ScratchDirectory scratch_;
  LayerStore<> store_{scratch_.path() / "store", {.durability = Durability::none}};
  boost::filesystem::path flat_ = scratch_.directory("flat"), mounted_ = scratch_.directory("mounted"), over_;
  std::optional<Digest> top_;
  std::string over_text_;
  bool mount_;
  unsigned count_ = 0, unpacked_ = 0;
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
      RandomLayer layer(random);
      const std::string bytes = layer.bytes();
      INFO("seed " << seed << ", layers:\n" << said << "this one:\n" << layer.text());
      if (!chain.add(bytes)) continue;
      ++layers;
      ++taken;
      said += layer.text() + "  --\n";
    }
  }
  CHECK(taken >= chains());
}
