// expect: Compression
#include <strata/layer_store.hpp>

struct NoFilters {
  static constexpr std::string_view name = "nothing";
};
strata::LayerStore<strata::Sha256, NoFilters>* store = nullptr;
