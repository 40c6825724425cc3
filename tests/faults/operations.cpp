#include "operations.hpp"

#include <strata/diff_writer.hpp>
#include <strata/error.hpp>
#include <strata/mount/copy.hpp>

#include "store/core.hpp"
#include "support/tree_text.hpp"

#include <boost/filesystem.hpp>
#include <boost/filesystem/fstream.hpp>

namespace strata::test {

namespace fs = boost::filesystem;

namespace {

ImportOptions options_on(const std::optional<Digest>& parent) {
  ImportOptions options;
  options.parent = parent;
  options.created = "2024-01-01T00:00:00Z";
  options.owners = Owners::squash;
  return options;
}

void forget_new(Scene& scene) { forget_all_but(scene, {scene.base(), scene.child()}); }

Operation importing(std::string name, const std::string& blob, bool on_child) {
  Operation operation;
  operation.name = "import " + std::move(name);
  operation.run = [&blob, on_child](Scene& scene) {
    const auto options = options_on(on_child ? std::optional(scene.child()) : std::nullopt);
    return scene.store().import(MemorySource(blob), options).id.to_string();
  };
  operation.undo = forget_new;
  return operation;
}

Operation importing_known() {
  Operation operation;
  operation.name = "import a tree that is there";
  operation.run = [](Scene& scene) {
    ImportOptions options = options_on(scene.child());
    options.expected_diff_id = scene.base();  // of a base layer, its id
    return scene.store().import(MemorySource(tars().base), options).id.to_string();
  };
  operation.undo = forget_new;
  return operation;
}

Operation importing_chain() {
  Operation operation;
  operation.name = "import chain";
  operation.run = [](Scene& scene) {
    MemorySource large(tars().large_gzip), odd(tars().small_gzip), child(tars().child);
    const LayerInput layers[] = {{large, options_on(scene.base())}, {odd, options_on({})}, {child, options_on({})}};
    std::string ids;
    for (const ImportedLayer& layer : scene.store().import_chain(layers)) ids += layer.id.to_string() + "\n";
    return ids;
  };
  operation.undo = forget_new;
  return operation;
}

Operation removing() {
  Operation operation;
  operation.name = "remove";
  static Digest layer;
  operation.prepare = [](Scene& scene) { layer = scene.import(tars().odd, scene.child()); };
  operation.run = [](Scene& scene) {
    try {
      scene.store().remove(layer);
    } catch (const Error& error) {
      if (error.code() != errc::not_found || scene.store().find(layer)) throw;
    }
    return "gone";
  };
  operation.unchanged = [](Scene& scene) {
    return scene.store().find(layer) ? "" : "the removal failed, and the layer is gone";
  };
  operation.undo = forget_new;
  return operation;
}

Operation committing() {
  Operation operation;
  operation.name = "commit";
  operation.prepare = [](Scene& scene) { scene.make_container("c"); };
  operation.run = [](Scene& scene) {
    // The times of what is committed are those of its making: only its own id says that it is the same again.
    CommitOptions options;
    options.created = "2024-01-01T00:00:00Z";
    const auto layer = scene.store().commit(*scene.store().find_container("c"), options);
    return std::to_string(layer.entries) + " entries";
  };
  operation.undo = [](Scene& scene) {
    scene.remove_container("c");
    forget_new(scene);
  };
  return operation;
}

Operation exporting() {
  Operation operation;
  operation.name = "export";
  operation.run = [](Scene& scene) {
    MemorySink sink;
    scene.store().export_layer(scene.child(), sink);
    return sink.take();
  };
  return operation;
}

Operation verifying() {
  Operation operation;
  operation.name = "verify";
  operation.reads_only = true;
  operation.run = [](Scene& scene) {
    std::string found;
    for (const Digest& id : {scene.base(), scene.child()})
      for (const Damage& damage : scene.store().verify(id).damages) found += damage.path + ": " + damage.what + "\n";
    return found;
  };
  return operation;
}

/// From another tree, from records, and of what was added; the whole tree anew, where its record is bad.
Operation repairing(bool anew) {
  Operation operation;
  operation.name = anew ? "repair a tree's record" : "repair";
  operation.mends = true;
  operation.prepare = [anew](Scene& scene) {
    const fs::path tree = scene.store().core()->tree_directory(scene.store().get(scene.base()).tree());
    if (anew) {
      fs::ofstream(tree / "tree.json", std::ios::trunc) << "cut";
      return;
    }
    fs::remove(tree / "fs/link");
    fs::ofstream(tree / "fs/added") << "by nobody";
    fs::ofstream(tree / "fs/dir/file", std::ios::trunc) << "what the base had";  // as long as it was
  };
  operation.run = [](Scene& scene) {
    MemorySource layer(tars().base);
    RepairOptions options;
    options.source = &layer;
    options.owners = Owners::squash;
    std::string left;
    for (const Damage& damage : scene.store().repair(scene.base(), options).left)
      left += damage.path + ": " + damage.what + "\n";
    return left;
  };
  return operation;
}

Operation listing() {
  Operation operation;
  operation.name = "list";
  operation.run = [](Scene& scene) {
    std::string ids;
    for (const Layer& layer : scene.store().list()) ids += layer.id.to_string() + "\n";
    ids += scene.store().resolve(scene.child().hex().substr(0, 12)).to_string() + "\n";
    ids += std::to_string(scene.store().chain(scene.child()).size()) + " in the chain, ";
    return ids + std::to_string(scene.store().containers().size()) + " containers";
  };
  return operation;
}

Operation explaining() {
  Operation operation;
  operation.name = "explain";
  operation.run = [](Scene& scene) {
    std::string told;
    for (const char* path : {"/dir/linked", "/gone/inside", "/dir", "/link"}) {
      const Explanation found = scene.store().explain(scene.child(), path);
      told += found.path + " is a " + std::string(to_string(found.kind)) + " of " +
              std::to_string(found.layers.size()) + " layers, " + std::to_string(found.links.size()) + " links\n";
    }
    return told;
  };
  return operation;
}

Operation unpacking() {
  Operation operation;
  operation.name = "unpack";
  operation.run = [](Scene& scene) {
    const fs::path directory = scene.place() / "unpacked";
    fs::remove_all(directory);
    UnpackOptions options;
    options.owners = Owners::squash;
    scene.store().unpack(scene.child(), directory, options);
    return tree_text(directory);
  };
  operation.undo = [](Scene& scene) { fs::remove_all(scene.place() / "unpacked"); };
  return operation;
}

/// Of the same container each time, or the times in it would differ.
Operation diffing(bool proven) {
  Operation operation;
  operation.name = proven ? "prove a diff" : "diff";
  static std::string written[2];
  operation.prepare = [proven](Scene& scene) {
    const Container container = scene.make_container("c");
    MemorySink sink;
    DiffWriter<>().write(scene.store(), container, sink);
    written[proven] = sink.take();
  };
  operation.run = [proven](Scene& scene) -> std::string {
    const Container container = scene.store().find_container("c").value();
    if (proven) {
      MemorySource layer(written[proven]);
      DiffWriter<>().prove(scene.store(), container, layer);
      return "proven";
    }
    MemorySink sink;
    DiffWriter<>().write(scene.store(), container, sink);
    return sink.take() == written[proven] ? "the same bytes" : "other bytes";
  };
  operation.undo = [](Scene& scene) { scene.remove_container("c"); };
  return operation;
}

/// A chain's trees in another union form.
Operation translating(UnionForm form) {
  Operation operation;
  operation.name = "translate to " + std::string(to_string(form));
  operation.run = [form](Scene& scene) {
    std::string text;
    for (const fs::path& lower : scene.store().core()->lowers(scene.store().get(scene.child()), form))
      text += names_beneath(lower, 5) + "\n";
    return text;
  };
  operation.undo = [](Scene& scene) { fs::remove_all(scene.root() / "translated"); };
  return operation;
}

/// With a translation, which goes too.
Operation removing_translated() {
  Operation operation;
  operation.name = "remove what is translated";
  static Digest layer;
  operation.prepare = [](Scene& scene) {
    layer = scene.import(tars().odd, scene.child());
    (void)scene.store().core()->lowers(scene.store().get(layer), UnionForm::aufs);
  };
  operation.run = [](Scene& scene) {
    try {
      scene.store().remove(layer);
    } catch (const Error& error) {
      if (error.code() != errc::not_found || scene.store().find(layer)) throw;
    }
    return "gone, and " + names_beneath(scene.root() / "translated/aufs/sha256", 1);
  };
  operation.undo = [](Scene& scene) {
    forget_new(scene);
    fs::remove_all(scene.root() / "translated");
  };
  return operation;
}

Operation opening(bool create) {
  Operation operation;
  operation.name = create ? "create a store" : "open a store";
  operation.run = [create](Scene& scene) {
    const fs::path root = create ? scene.place() / "new" : scene.root();
    const LayerStore<> store(root);
    return std::string(to_string(store.form())) + "\n" + (create ? names_beneath(root, 2) : "");
  };
  operation.undo = [](Scene& scene) { fs::remove_all(scene.place() / "new"); };
  return operation;
}

Operation making_container() {
  Operation operation;
  operation.name = "make a container";
  operation.run = [](Scene& scene) {
    if (!scene.store().find_container("c")) scene.make_container("c");
    return scene.store().find_container("c").value().layer.to_string();
  };
  operation.undo = [](Scene& scene) { scene.remove_container("c"); };
  return operation;
}

Operation removing_container() {
  Operation operation;
  operation.name = "remove a container";
  operation.prepare = [](Scene& scene) { scene.make_container("c"); };
  operation.run = [](Scene& scene) {
    try {
      Mounter<>(scene.store()).remove("c");
    } catch (const Error& error) {
      if (error.code() != errc::not_found || scene.store().find_container("c")) throw;
    }
    return "gone";
  };
  operation.undo = [](Scene& scene) { scene.remove_container("c"); };
  return operation;
}

Operation cleaning() {
  Operation operation;
  operation.name = "clean";
  operation.prepare = [](Scene& scene) {
    // What a dead writer leaves: a draft whose lock is free, and the mount point of no container.
    fs::create_directories(scene.root() / "staging" / "dead" / "tree" / "fs" / "deep" / "er");
    fs::create_directories(scene.root() / "mounts" / "nobody");
    fs::create_directories(scene.root() / "containers" / "half" / "upper");
  };
  operation.run = [](Scene& scene) {
    (void)Mounter<>(scene.store()).clean();
    return "clean";
  };
  return operation;
}

bool is_mounted(Scene& scene) {
  for (const ContainerState& state : Mounter<>(scene.store()).list())
    if (state.container.name == "m" && state.mounted) return true;
  return false;
}

void drop_mount(Scene& scene) {
  if (!scene.store().find_container("m")) return;
  Mounter<>(scene.store()).unmount("m");
  Mounter<>(scene.store()).remove("m");
}

Operation mounting(bool read_only) {
  Operation operation;
  operation.name = read_only ? "mount, read-only" : "mount";
  operation.needs_mounts = true;
  operation.run = [read_only](Scene& scene) {
    MountOptions options;
    options.read_only = read_only;
    try {
      Mounter<>(scene.store()).mount(scene.child(), "m", options).keep();
    } catch (const Error& error) {
      if (error.code() != errc::already_exists || !is_mounted(scene)) throw;
    }
    return names_beneath(scene.root() / "mounts" / "m", 2);
  };
  operation.unchanged = [](Scene& scene) {
    return scene.store().find_container("m") ? "the mount failed, and its container stays" : "";
  };
  operation.undo = drop_mount;
  return operation;
}

Operation copying(bool read_only) {
  Operation operation;
  operation.name = read_only ? "mount a copy, read-only" : "mount a copy";
  operation.needs_mounts = read_only;
  operation.run = [read_only](Scene& scene) {
    MountOptions options;
    options.read_only = read_only;
    try {
      Mounter<Copy>(scene.store()).mount(scene.child(), "m", options).keep();
    } catch (const Error& error) {
      if (error.code() != errc::already_exists || !is_mounted(scene)) throw;
    }
    return names_beneath(scene.root() / (read_only ? "mounts/m" : "containers/m/upper"), 2);
  };
  operation.unchanged = [](Scene& scene) {
    return scene.store().find_container("m") ? "the mount failed, and its container stays" : "";
  };
  operation.undo = [](Scene& scene) {
    if (!scene.store().find_container("m")) return;
    Mounter<Copy>(scene.store()).unmount("m");
    Mounter<Copy>(scene.store()).remove("m");
  };
  return operation;
}

Operation unmounting() {
  Operation operation;
  operation.name = "unmount";
  operation.needs_mounts = true;
  operation.prepare = [](Scene& scene) { Mounter<>(scene.store()).mount(scene.child(), "m").keep(); };
  operation.run = [](Scene& scene) {
    Mounter<>(scene.store()).unmount("m");
    return is_mounted(scene) ? "it is still mounted" : "unmounted";
  };
  operation.undo = drop_mount;
  return operation;
}

}  // namespace

void forget_all_but(Scene& scene, const std::vector<Digest>& kept) {
  // Children first: as long as there are any, something goes in each round.
  for (bool removed = true; removed;) {
    removed = false;
    for (const Layer& layer : scene.store().list()) {
      if (std::find(kept.begin(), kept.end(), layer.id) != kept.end()) continue;
      if (!scene.store().children(layer.id).empty()) continue;
      scene.store().remove(layer.id);
      removed = true;
    }
  }
}
const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = [] {
    std::vector<Operation> operations = {
        opening(false),
        opening(true),
        importing("plain", tars().odd, true),
        importing("gzip", tars().small_gzip, true),
        importing("large, plain", tars().large, false),
        importing("large, gzip", tars().large_gzip, false),
        importing("large, zstd", tars().large_zstd, true),
        importing("what needs its parent", tars().child, true),
        importing("what is there", tars().base, false),
        importing_known(),
        importing_chain(),
        making_container(),
        committing(),
        removing(),
        removing_container(),
        exporting(),
        verifying(),
        repairing(false),
        repairing(true),
        listing(),
        explaining(),
        unpacking(),
        diffing(false),
        diffing(true),
        cleaning(),
        translating(UnionForm::aufs),
        translating(UnionForm::unionfs_fuse),
        removing_translated(),
        mounting(false),
        mounting(true),
        copying(false),
        copying(true),
        unmounting(),
    };
    for (Operation& operation : keeping_operations()) operations.push_back(std::move(operation));
    for (Operation& operation : image_operations()) operations.push_back(std::move(operation));
    for (Operation& operation : transport_operations()) operations.push_back(std::move(operation));
    return operations;
  }();
  return all;
}

}  // namespace strata::test
