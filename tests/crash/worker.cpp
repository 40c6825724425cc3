// A process that works on a store until it is killed, and one that looks at what is left. kill.py and power_cut.py
// start it, as one of
//
//   crash_worker work STORE SEED      any operation, one after the other, without end; a byte to stdout for each
//   crash_worker store STORE SEED COUNT full|none MARKS
//                                     what is to last, each told to the file MARKS (StoreWork::step_told)
//   crash_worker check STORE          nothing is damaged, mounted, or left over; after a sweep
//   crash_worker stored STORE ID... TAG=ID...
//                                     these layers are there, and whole, and these tags are theirs
#include <strata/error.hpp>
#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include "support/store_work.hpp"

#include <cstdio>
#include <iostream>

#include <unistd.h>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

std::string wrong_with_layers(LayerStore<>& store, const std::vector<std::string>& ids) {
  std::string wrong;
  for (const std::string& id : ids) {
    try {
      if (const auto equals = id.find('='); equals != std::string::npos) {
        const auto tagged = store.find_tag(id.substr(0, equals));
        if (!tagged || tagged->to_string() != id.substr(equals + 1))
          wrong += "not so: " + id + ", but " + (tagged ? tagged->to_string() : "nothing") + "\n";
        continue;
      }
      for (const Damage& damage : store.verify(Digest::parse(id)).damages)
        wrong += id + ": " + damage.path + ": " + damage.what + "\n";
    } catch (const Error& error) {
      wrong += id + ": " + error.what() + "\n";
    }
  }
  return wrong;
}

int run(const std::vector<std::string>& words) {
  const std::string& what = words.at(0);
  const fs::path root = words.at(1);
  if (what == "work") {
    LayerStore<> store(root, {.durability = Durability::none});
    StoreWork worker(store, static_cast<unsigned>(std::stoul(words.at(2))), StoreWork::Mounts::yes);
    for (;;) {
      worker.step();
      if (::write(STDOUT_FILENO, ".", 1) != 1) return 0;
    }
  }
  if (what == "store") {
    const Durability durability = words.at(4) == "full" ? Durability::full : Durability::none;
    LayerStore<> store(root, {.durability = durability});
    StoreWork worker(store, static_cast<unsigned>(std::stoul(words.at(2))), StoreWork::Mounts::no);
    std::FILE* const marks = std::fopen(words.at(5).c_str(), "w");
    if (marks == nullptr) throw std::runtime_error("cannot open " + words.at(5));
    for (unsigned long left = std::stoul(words.at(3)); left != 0; --left) worker.step_told(marks);
    std::fclose(marks);
    return 0;
  }
  LayerStore<> store(root, {.durability = Durability::none, .form = {}, .create = false});
  const std::string wrong =
      what == "check" ? wrong_with(store) : wrong_with_layers(store, {words.begin() + 2, words.end()});
  std::cout << wrong;
  if (what == "check") std::cout << store.list().size() << " layers\n";
  return wrong.empty() ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  try {
    return run({words + 1, words + count});
  } catch (const std::exception& error) {
    std::cerr << "crash_worker: " << error.what() << '\n';
    return 3;
  }
}
