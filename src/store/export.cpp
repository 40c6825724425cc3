#include <strata/error.hpp>

#include "store/operations.hpp"
#include "stream/read_ahead.hpp"
#include "tree/directory.hpp"
#include "tree/recipe.hpp"

namespace strata::detail {

std::uint64_t export_layer(const StoreCore& core, const Digest& id, ByteSink& sink, const Control& control) {
  const Layer layer = core.get(id);
  const FileDescriptor tree = open_directory(core.tree_directory(layer.tree()));
  RecipeSource recipe(tree.get());
  AnyHash hash = core.hash().start();
  const auto digest = [&hash](std::span<const std::byte> bytes) { hash.update(bytes); };
  Progress progress{.phase = Progress::Phase::writing, .total_bytes = layer.tar_size};
  // Reading, digesting and writing beside each other.
  ReadAhead tar(recipe, digest);
  for (Block block = tar.next_block(); !block.bytes.empty(); block = tar.next_block()) {
    if (control.stop.stop_requested()) throw_error(errc::cancelled, "export", id.to_string());
    sink.write(block.bytes);
    progress.bytes = progress.tar_bytes += block.bytes.size();
    if (control.observer) control.observer(progress);
  }
  if (const Digest diff_id = hash.finish(); diff_id != layer.diff_id())
    throw_error(errc::damaged, "export", id.to_string(),
                "what came out has the digest " + diff_id.to_string() + " instead of " + layer.diff_id().to_string(),
                "repair the layer");
  return progress.tar_bytes;
}

}  // namespace strata::detail
