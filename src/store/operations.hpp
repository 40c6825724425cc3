// What LayerStoreBase does, one function each, in the file of its name.
#pragma once

#include <strata/layer_store.hpp>

#include "store/core.hpp"

namespace strata::detail {

ImportedLayer import_layer(const StoreCore& core, ByteSource& source, const ImportOptions& options);
std::vector<ImportedLayer> import_chain(const StoreCore& core, std::span<const LayerInput> layers);
ImportedLayer commit_container(const StoreCore& core, const Container& container, const CommitOptions& options);
std::uint64_t export_layer(const StoreCore& core, const Digest& id, ByteSink& sink, const Control& control);
VerifyResult verify_layer(const StoreCore& core, const Digest& id, const VerifyOptions& options);
RepairResult repair_layer(const StoreCore& core, const Digest& id, const RepairOptions& options);
void remove_layer(const StoreCore& core, const Digest& id);
GcResult collect_garbage(const StoreCore& core, const GcOptions& options);
std::vector<Leftover> leftovers_of(const StoreCore& core);
Report unpack_chain(const StoreCore& core, const Digest& id, const boost::filesystem::path& directory,
                    const UnpackOptions& options);
Explanation explain_path(const StoreCore& core, const Digest& id, std::string_view path);

}  // namespace strata::detail
