// Stacks two layers and shows the chain: stack STORE BASE APP
#include <strata/strata.hpp>

#include <iostream>

void stack(strata::LayerStore<>& store, const char* base_file, const char* app_file) {
  const auto base = store.import(strata::open_file(base_file), {.comment = "base"});
  const auto app = store.import(strata::open_file(app_file), {.parent = base.id, .comment = "app"});
  for (const strata::Layer& layer : store.chain(app.id))
    std::cout << layer.id.to_string() << ' ' << layer.comment << ": " << layer.entries << " entries\n";
}

int main(int, char** argv) {
  strata::LayerStore<> store{argv[1]};
  stack(store, argv[2], argv[3]);
}
