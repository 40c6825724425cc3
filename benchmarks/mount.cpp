// Times strata's mounts inside one process.
//
//   mount ROUNDS STORE LAYER
//
// Each round prepares and mounts a new container on LAYER (an id, or its beginning), unmounts and removes it. Prints
// three numbers: medians of microseconds of mounting (with all that prepares it), unmounting and removing.
#include <strata/strata.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

double microseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4 || std::stoi(argv[1]) < 1) {
    std::cerr << "usage: mount ROUNDS STORE LAYER\n";
    return 2;
  }
  const strata::LayerStore<> store{argv[2], {.durability = strata::Durability::none, .create = false}};
  const strata::Digest layer = store.resolve(argv[3]);
  const strata::Mounter<> mounter{store};
  std::vector<double> mounted, unmounted, removed;
  for (int i = 0; i < std::stoi(argv[1]); ++i) {
    const std::string name = "round-" + std::to_string(i);
    const auto start = Clock::now();
    auto root = mounter.mount(layer, name);
    const auto up = Clock::now();
    root.unmount();
    const auto down = Clock::now();
    mounter.remove(name);
    mounted.push_back(microseconds(start, up));
    unmounted.push_back(microseconds(up, down));
    removed.push_back(microseconds(down, Clock::now()));
  }
  std::cout << median(mounted) << '\t' << median(unmounted) << '\t' << median(removed) << '\n';
} catch (const std::exception& error) {
  std::cerr << "mount: " << error.what() << '\n';
  return 1;
}
