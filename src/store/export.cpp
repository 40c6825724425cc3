#include <strata/error.hpp>

#include "store/operations.hpp"
#include "tree/directory.hpp"
#include "tree/recipe.hpp"

#include <vector>

namespace strata::detail {

std::uint64_t export_layer(const StoreCore& core, const Digest& id, ByteSink& sink, const Control& control) {
  const Layer layer = core.get(id);
  const FileDescriptor tree = open_directory(core.tree_directory(layer.tree()));
  RecipeSource tar(tree.get());
  AnyHash hash = core.hash().start();
  std::vector<std::byte> buffer(128U << 10);
  Progress progress{.phase = Progress::Phase::writing, .total_bytes = layer.tar_size};
  while (const std::size_t n = tar.read(buffer)) {
    if (control.stop.stop_requested()) throw_error(errc::cancelled, "export", id.to_string());
    hash.update(std::span(buffer).first(n));
    sink.write(std::span(buffer).first(n));
    progress.bytes = progress.tar_bytes += n;
    if (control.observer) control.observer(progress);
  }
  if (const Digest diff_id = hash.finish(); diff_id != layer.diff_id())
    throw_error(errc::damaged, "export", id.to_string(),
                "what came out has the digest " + diff_id.to_string() + " instead of " + layer.diff_id().to_string(),
                "verify the layer, and import it again");
  return progress.tar_bytes;
}

}  // namespace strata::detail
