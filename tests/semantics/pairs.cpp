// Every two kinds of entries that meet at one path: one in a layer over another in the layer below it; and both in one
// layer, in either order, over nothing and over each kind. The model says what becomes of it (layer_model.hpp), and
// every form agrees.

#include "support/catch.hpp"
#include "support/layer_entries.hpp"
#include "support/layer_forms.hpp"

using namespace strata;
using namespace strata::test;

namespace {

using Entries = std::vector<RawHeader>;

/// What comes first or second at "p" is told apart by its mode, its time and what it holds.
struct Kind {
  const char* name;
  Entries (*entries)(unsigned number);
  bool stands = true;  ///< where nothing else is
};

std::string mode(unsigned number) { return number == 0 ? "0000750" : number == 1 ? "0000711" : "0001755"; }
std::string text(const char* name, unsigned number) { return name + std::to_string(number); }

const std::vector<Kind> kinds = {
    {"file", [](unsigned n) { return Entries{file("p", text("file", n), mode(n), 2000 + n)}; }},
    {"directory",
     [](unsigned n) {
       return Entries{dir("p", mode(n), 2000 + n), file("p/" + text("c", n)), file("p/c", text("in", n))};
     }},
    {"symlink", [](unsigned n) { return Entries{soft_link("p", n == 0   ? "d"
                                                               : n == 1 ? "/d/s"
                                                                        : "nowhere")}; }},
    {"hardlink", [](unsigned n) { return Entries{hard_link("p", n == 1 ? "d/x" : "t")}; }},
    {"hardlink to itself", [](unsigned n) { return Entries{entry('1', "p", mode(n), {}, "p", 2000 + n)}; }, false},
    {"FIFO", [](unsigned) { return Entries{pipe_file("p")}; }},
    {"whiteout", [](unsigned) { return Entries{whiteout(".wh.p")}; }},
    {"opaque directory", [](unsigned) { return Entries{whiteout("p/.wh..wh..opq")}; }},
    {"implied directory", [](unsigned n) { return Entries{file("p/" + text("i", n), text("implied", n), mode(n))}; }},
    {"device",
     [](unsigned n) {
       RawHeader device = entry('3', "p", mode(n));
       device.device_major = octal(1, 7);
       device.device_minor = octal(3, 7);
       return Entries{device};
     }},
};

/// Only root of the first user namespace can make devices.
std::size_t possible_kinds() { return kinds.size() - (is_privileged() ? 0 : 1); }

/// What links and symlinks lead to.
const std::string ground = layer({file("t", "target"), dir("d", "0000700"), file("d/x", "X"), dir("d/s"),
                                  file("d/s/c", "deep"), soft_link("q", "d")});

void check(const std::string& what, const std::vector<Entries>& layers, bool mount) {
  INFO(what);
  LayerForms forms(mount);
  CHECK(forms.add(ground) == "");
  for (const Entries& entries : layers) CHECK(forms.add(layer(entries)) == "");
}

Entries together(Entries first, const Entries& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

}  // namespace

TEST_CASE("Any two kinds of entries meet at one path across two layers", "[semantics]") {
  const ScratchDirectory probe;
  const bool mount = can_mount_overlay(probe.path());
  for (std::size_t below = 0; below < possible_kinds(); ++below)
    for (std::size_t above = 0; above < possible_kinds(); ++above)
      check(std::string(kinds[above].name) + " over " + kinds[below].name,
            {kinds[below].entries(0), kinds[above].entries(1)}, mount);
}

TEST_CASE("Any two kinds of entries meet at one path within one layer", "[semantics]") {
  const ScratchDirectory probe;
  const bool mount = can_mount_overlay(probe.path());
  for (std::size_t first = 0; first < possible_kinds(); ++first)
    for (std::size_t second = 0; second < possible_kinds(); ++second)
      check(std::string(kinds[first].name) + ", then " + kinds[second].name,
            {together(kinds[first].entries(0), kinds[second].entries(1))}, mount);
}

TEST_CASE("Any two kinds of entries meet at one path within one layer, over any kind", "[semantics]") {
  // Unmounted: what mounts differ by is seen above, and these are many.
  for (std::size_t below = 0; below < possible_kinds(); ++below) {
    if (!kinds[below].stands) continue;
    for (std::size_t first = 0; first < possible_kinds(); ++first)
      for (std::size_t second = 0; second < possible_kinds(); ++second)
        check(std::string(kinds[first].name) + ", then " + kinds[second].name + ", over " + kinds[below].name,
              {kinds[below].entries(2), together(kinds[first].entries(0), kinds[second].entries(1))}, false);
  }
}
