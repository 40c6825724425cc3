// Two or three small layers, chosen by the bytes of the input: applied one after the other to a plain directory, or
// stored and unpacked, they are the same filesystem, or refused by both.
#include "fuzz/fuzz.hpp"
#include "support/chosen_layer.hpp"
#include "support/scratch.hpp"
#include "support/stored_and_flat.hpp"

using namespace strata::test;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const ScratchDirectory scratch;
  const auto directory = scratch.directory("chain");
  Input input(data, size);
  {
    StoredAndFlat forms(directory);
    LayerChooser chooser([&input](unsigned n) { return input.below(n); }, true);
    std::string said;
    for (int layers = 0; layers < 3 && (layers == 0 || !input.empty()); ++layers) {
      const ChosenLayer layer = chooser.choose();
      said += text_of(layer) + "  --\n";
      const std::string wrong = forms.add(bytes_of(layer));
      require(wrong.empty(), "these layers:\n" + said + wrong);
    }
  }
  boost::filesystem::remove_all(directory);
  return 0;
}
