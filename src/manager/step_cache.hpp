// Which layer a step of a build made: steps/HEX in the store, HEX being the key of the step upon its parent, is a note
// of the layer's id. A note keeps nothing: where its layer is gone, the step counts as never made. It can't come from
// an image that was pulled.
#pragma once

#include <strata/digest.hpp>
#include <strata/file_descriptor.hpp>
#include <strata/layer_store.hpp>

#include <memory>
#include <optional>
#include <string>

namespace strata::detail {

class StepCache {
 public:
  explicit StepCache(const LayerStoreBase& store);

  /// The layer that the step made on this parent (unset: none), if it is still there.
  std::optional<Digest> find(const std::optional<Digest>& parent, const std::string& key) const;
  /// After a crash: it is noted or not.
  void note(const std::optional<Digest>& parent, const std::string& key, const Digest& layer) const;
  /// Forgets steps whose layers are gone.
  void sweep() const;

 private:
  std::shared_ptr<StoreCore> core_;
  FileDescriptor directory_;
};

}  // namespace strata::detail
