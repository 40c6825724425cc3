// Pulling one image: its documents, then its layers, then the image itself.
#pragma once

#include <strata/layer_manager.hpp>

#include <functional>
#include <string>

namespace strata::detail {

/// `make_room` is told how many bytes are about to come, once that is known; `lease` keeps the image's layers.
Image pull_image(LayerStoreBase& store, AnySource& source, const std::string& name, const PullOptions& options,
                 const Lease& lease, const std::function<void(std::uint64_t)>& make_room);

/// Of a layer of an image: what is said of it, and what it has to be. `entry` is its own of the config's history.
ImportOptions import_options(const ImageConfig& config, const HistoryEntry& entry, const Digest& blob,
                             const Digest& diff_id);

/// A time that an import takes: the first of these that is one, else the epoch.
std::string time_of_layer(const std::string& layer, const std::string& image);

}  // namespace strata::detail
