// strata on one page: a layer becomes a writable root filesystem, and what changed in it becomes a layer.
//
//   quickstart STORE BASE.tar.gz CHANGE.tar.gz CHANGE.tar
//
// reads BASE, and writes the change twice. Mounting needs root, or a namespace of one's own:
//   unshare --user --map-auto --map-root-user --mount quickstart ...
#include <strata/strata.hpp>

#include <fstream>
#include <iostream>

int main(int argc, char** argv) try {
  if (argc != 5) {
    std::cerr << "usage: quickstart STORE BASE.tar.gz CHANGE.tar.gz CHANGE.tar\n";
    return 2;
  }
  strata::LayerStore<> store{argv[1]};
  const auto base = store.import(strata::open_file(argv[2]), {.comment = "base"});
  std::cout << "base    " << base.id.to_string() << ", " << base.entries << " entries\n";

  strata::Mounter<> mounter{store};
  auto root = mounter.mount(base.id, "quickstart");  // unmounts when it goes
  std::ofstream(root.path().string() + "/hello") << "written through the merged view\n";

  // What changed, as a layer for others ...
  strata::DiffWriter<> writer;  // sha256, gzip
  auto file = strata::create_file(argv[3]);
  const auto change = writer.write(store, root, file);
  std::cout << "change  " << change.diff_id.to_string() << ", " << change.entries << " entries\n";

  // ... and as a layer of this store, on top of the base.
  const auto next = store.commit(root, {.comment = "with a greeting"});
  std::cout << "layer   " << next.id.to_string() << '\n';

  root.unmount();
  mounter.remove("quickstart");

  // A layer comes out byte for byte as it went in.
  auto tar = strata::create_file(argv[4]);
  std::cout << "export  " << store.export_layer(next.id, tar) << " bytes\n";
} catch (const strata::Error& error) {
  std::cerr << error.what() << '\n';  // "cannot VERB WHAT: CAUSE (DETAIL); REMEDY"
  return 1;
}
