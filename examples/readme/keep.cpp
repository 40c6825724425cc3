// Stores a layer under a tag, and removes what nothing needs: keep STORE LAYER TAG
#include <strata/strata.hpp>

#include <iostream>

void keep(strata::LayerStore<>& store, const char* file, const char* tag) {
  auto lease = store.lease();  // keeps what is imported with it, while this object lives
  const auto layer = store.import(strata::open_file(file), {.lease = &lease});
  store.tag(tag, layer.id);
  lease.release();
  const auto freed = store.gc({.min_age = std::chrono::hours(24)});
  std::cout << freed.layers.size() << " layers removed, " << freed.exclusive_bytes << " bytes free\n";
}

int main(int, char** argv) {
  strata::LayerStore<> store{argv[1]};
  keep(store, argv[2], argv[3]);
}
