// README: an image fetched, mounted, committed and pushed.
//
//   readme_image STORE FROM TO
#include <strata/strata.hpp>

#include <fstream>
#include <iostream>

void change_image(strata::LayerStore<>& store, const char* from, const char* to) {
  strata::LayerManager<> manager{store};
  manager.pull(from, {.name = "base"});
  {
    auto root = manager.prepare("base", "work");  // mounted; asks no network: the image is there
    std::ofstream(root.path().string() + "/motd") << "hello\n";
  }
  const auto image = manager.commit("work", {.name = "greeting", .change = [](strata::ImageConfig& config) {
                                               config.config.env.emplace_back("GREETING=hello");
                                             }});
  std::cout << image.digest.to_string() << " on " << image.layer.to_string() << '\n';
  const auto pushed = manager.push("greeting", to, {.compress = strata::PushOptions::Compress::zstd});
  std::cout << "as " << pushed.digest.to_string() << '\n';
  strata::AnyMounter{store}.remove("work");
}

int main(int, char** argv) try {
  strata::LayerStore<> store{argv[1]};
  change_image(store, argv[2], argv[3]);
} catch (const strata::Error& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
