// A layer of entries that are written out, in a store.
#pragma once

#include <strata/layer_store.hpp>

#include "support/tar_builder.hpp"

#include <optional>
#include <vector>

namespace strata::test {

inline Digest import_entries(LayerStoreBase& store, const std::vector<RawHeader>& entries,
                             std::optional<Digest> parent = {}) {
  TarBuilder tar;
  for (const RawHeader& entry : entries) tar.add(entry);
  tar.end();
  ImportOptions options;
  options.parent = std::move(parent);
  return store.import(MemorySource(tar.bytes), options).id;
}

}  // namespace strata::test
