// A store of a test's own, and layers of one file each.
#pragma once

#include <strata/layer_store.hpp>

#include "support/bytes.hpp"
#include "support/layer_entries.hpp"
#include "support/scratch.hpp"

#include <string>

namespace strata::test {

struct SmallStore {
  ScratchDirectory scratch;
  boost::filesystem::path root = scratch.path() / "store";
  LayerStore<> store{root, {.durability = Durability::none}};

  /// The layer whose only file has this name, and as content its name.
  Digest import(const std::string& name, const ImportOptions& options = {}) {
    return store.import(MemorySource(layer({file(name, name)})), options).id;
  }
  /// Nothing is too young for it.
  GcResult gc() { return store.gc({.min_age = std::chrono::seconds(0)}); }
};

}  // namespace strata::test
