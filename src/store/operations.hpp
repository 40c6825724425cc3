// What LayerStoreBase does, one function each, in the file of its name.
#pragma once

#include <strata/layer_store.hpp>

#include "store/core.hpp"

#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace strata::detail {

ImportedLayer import_layer(const StoreCore& core, ByteSource& source, const ImportOptions& options);
std::vector<ImportedLayer> import_chain(const StoreCore& core, std::span<const LayerInput> layers);
ImportedLayer commit_container(const StoreCore& core, const Container& container, const CommitOptions& options);
std::uint64_t export_layer(const StoreCore& core, const Digest& id, ByteSink& sink, const Control& control);
VerifyResult verify_layer(const StoreCore& core, const Digest& id, const VerifyOptions& options);
RepairResult repair_layer(const StoreCore& core, const Digest& id, const RepairOptions& options);
/// Reads a stored layer's tar, or blob, into a draft, and exchanges the tree in it with the store's: in one step, on
/// the disk as the store's durability asks. Throws errc::digest_mismatch for what is another layer's, errc::in_use
/// while the tree is mounted; then, as after any other error, the store is as it was.
void rebuild_tree(const StoreCore& core, const Layer& layer, ByteSource& source, const RepairOptions& options);
std::vector<std::uint64_t> export_layers(const StoreCore& core, std::span<const Digest> ids,
                                         const std::function<std::unique_ptr<ByteSink>(const Layer& layer)>& open,
                                         const Control& control);
void remove_layer(const StoreCore& core, const Digest& id);
/// Which images are garbage, besides those without a name.
enum class Images { unnamed, unused };
GcResult collect_garbage(const StoreCore& core, const GcOptions& options, Images images = Images::unnamed);
std::vector<Leftover> leftovers_of(const StoreCore& core);
Report unpack_chain(const StoreCore& core, const Digest& id, const boost::filesystem::path& directory,
                    const UnpackOptions& options);
Explanation explain_path(const StoreCore& core, const Digest& id, std::string_view path);

}  // namespace strata::detail
