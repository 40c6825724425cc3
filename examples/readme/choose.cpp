// Mounts a layer by the best backend that works here: choose STORE LAYER [BACKEND]
#include <strata/strata.hpp>

#include <iostream>

void mount_somehow(strata::LayerStore<>& store, const strata::Digest& layer, const char* backend) {
  strata::AnyMounter mounter{store, backend};  // "": the best that works here
  for (const auto& [name, usable, why] : mounter.passed_over()) std::cout << "not by " << name << ": " << why << '\n';
  auto root = mounter.mount(layer, "somehow");
  std::cout << "by " << mounter.backend() << " (" << root.result().method << "): " << root.path().string() << '\n';
}

int main(int argc, char** argv) try {
  strata::LayerStore<> store{argv[1]};
  mount_somehow(store, store.import(strata::open_file(argv[2])).id, argc > 3 ? argv[3] : "");
} catch (const strata::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
