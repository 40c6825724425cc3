// Mounts a layer read-only and meets a refusal: mount STORE LAYER
#include <strata/strata.hpp>

#include <iostream>

void look_inside(strata::LayerStore<>& store, const strata::Digest& layer) {
  strata::Mounter<> mounter{store};
  auto root = mounter.mount(layer, "reader", {.read_only = true});
  std::cout << root.path().string() << ", by " << root.result().method << '\n';
  try {
    store.remove(layer);
  } catch (const strata::Error& error) {
    if (error.code() == strata::errc::in_use) std::cout << error.what() << '\n';
  }
  root.unmount();
  mounter.remove("reader");
}

int main(int, char** argv) {
  strata::LayerStore<> store{argv[1]};
  look_inside(store, store.import(strata::open_file(argv[2])).id);
}
