// expect: ContentHash
#include <strata/layer_store.hpp>

strata::LayerStore<strata::Xxh3>* store = nullptr;
