// Work of every kind on a store, at random, and a look at what many of such workers leave. Used by threads and
// processes beside each other, which may be killed.
#pragma once

#include <strata/error.hpp>
#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include "mount/container_directory.hpp"
#include "mount/mount_table.hpp"
#include "support/tar_builder.hpp"

#include <boost/filesystem.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iterator>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

namespace strata::test {

namespace work {

constexpr int chains = 3, depth = 3, containers = 4;

/// The layer `level` of the chain `chain`, always the same: each has something of its own, of a lower layer's, and a
/// whiteout.
inline std::string tar_of(int chain, int level) {
  TarBuilder tar;
  const std::string own = "layer" + std::to_string(level);
  for (int i = 0; i < 8; ++i)
    tar.add({.path = own + "/" + std::to_string(i), .content = std::string(static_cast<std::size_t>(i) * 3000, 'a')});
  tar.add({.path = "chain", .content = std::to_string(chain)});
  if (level > 0) {
    const std::string below = "layer" + std::to_string(level - 1);
    tar.add({.path = below + "/.wh.0"}).add({.path = "linked", .type = '1', .link = below + "/1"});
  }
  return tar.end().bytes;
}

}  // namespace work

/// One worker, of one thread. The store may be shared.
class StoreWork {
 public:
  enum class Mounts { yes, no };
  StoreWork(LayerStore<>& store, unsigned seed, Mounts mounts) : store_(store), mounts_(mounts), random_(seed) {}

  /// What may be refused, since others are at it too, is no failure.
  void attempt(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      for (const errc expected : {errc::not_found, errc::in_use, errc::already_exists})
        if (error.code() == expected) return;
      throw;
    }
  }

  /// One operation at random. What a store can do besides (to collect garbage, to lease) belongs into this list.
  void step() {
    static constexpr void (StoreWork::*operations[])() = {
        &StoreWork::import, &StoreWork::import,  &StoreWork::import_chain,   &StoreWork::remove, &StoreWork::mount,
        &StoreWork::commit, &StoreWork::unmount, &StoreWork::drop_container, &StoreWork::verify, &StoreWork::clean,
    };
    const auto operation = operations[number(std::size(operations))];
    attempt([&] { (this->*operation)(); });
  }

  /// As step(), of what changes layers, and each told.
  void step_told(std::FILE* marks) {
    const auto tell = [&](char sign, const Digest& id) {
      std::fprintf(marks, "%c%s\n", sign, id.to_string().c_str());
      std::fflush(marks);
    };
    if (number(4) != 0)
      return attempt([&] {
        for (const Digest& id : number(2) ? std::vector{import_one()} : import_several()) tell('+', id);
      });
    attempt([&] {
      const auto layers = store_.list();
      if (layers.empty()) return;
      const Digest id = layers[number(layers.size())].id;
      if (!store_.children(id).empty()) return;
      tell('-', id);
      store_.remove(id);
    });
  }

 private:
  std::size_t number(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }
  std::string name() { return "c" + std::to_string(number(work::containers)); }
  std::optional<Layer> some_layer() {
    auto layers = store_.list();
    if (layers.empty()) return std::nullopt;
    return layers[number(layers.size())];
  }

  Digest import_one() {
    const int chain = static_cast<int>(number(work::chains)), levels = 1 + static_cast<int>(number(work::depth));
    std::optional<Digest> top;
    for (int level = 0; level < levels; ++level) {
      ImportOptions options;
      options.parent = top;
      options.owners = Owners::squash;
      top = store_.import(MemorySource(work::tar_of(chain, level)), options).id;
    }
    return *top;
  }
  std::vector<Digest> import_several() {
    const int chain = static_cast<int>(number(work::chains));
    std::vector<std::string> tars;
    for (int level = 0; level < work::depth; ++level) tars.push_back(work::tar_of(chain, level));
    std::vector<MemorySource> sources(tars.begin(), tars.end());
    std::vector<LayerInput> inputs;
    ImportOptions options;
    options.owners = Owners::squash;
    for (MemorySource& source : sources) inputs.push_back(LayerInput{source, options});
    std::vector<Digest> ids;
    for (const ImportedLayer& layer : store_.import_chain(inputs)) ids.push_back(layer.id);
    return ids;
  }
  void import() { import_one(); }
  void import_chain() { import_several(); }
  void remove() {
    if (const auto layer = some_layer()) store_.remove(layer->id);
  }
  void mount() {
    const auto layer = some_layer();
    if (!layer) return;
    if (mounts_ == Mounts::no) return make_container(layer->id);
    auto root = mounter_.mount(layer->id, name());
    write_into(root.path());
    if (number(2)) root.keep();
  }
  /// What a mount would make, but for the mount.
  void make_container(const Digest& layer) {
    Container container;
    container.name = name();
    container.layer = layer;
    container.backend = "overlay";
    container.directory = store_.root() / "containers" / container.name;
    const auto made = detail::LockedContainer::create(*store_.core(), container);
    if (!made) return;
    const FileDescriptor file(
        ::openat(made->descriptor(), "upper/written", O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL, 0644));
    (void)!::write(file.get(), container.name.data(), container.name.size());
  }
  /// Into the overlay, and nowhere else: another may have unmounted it by now.
  void write_into(const boost::filesystem::path& path) {
    const FileDescriptor dir(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct statfs st {};
    if (!dir || ::fstatfs(dir.get(), &st) != 0 || static_cast<unsigned long>(st.f_type) != OVERLAYFS_SUPER_MAGIC)
      return;
    const FileDescriptor file(::openat(dir.get(), "written", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    const std::string text = std::to_string(number(1000));
    (void)!::write(file.get(), text.data(), text.size());
    (void)::unlinkat(dir.get(), "chain", 0);
  }
  void commit() {
    if (const auto container = store_.find_container(name())) store_.commit(*container);
  }
  void unmount() { mounter_.unmount(name()); }
  void drop_container() { mounter_.remove(name()); }
  void clean() { (void)mounter_.clean(); }
  void verify() {
    const auto layer = some_layer();
    if (!layer) return;
    std::string wrong;
    try {
      for (const Damage& damage : store_.verify(layer->id).damages) wrong += damage.path + ": " + damage.what + "\n";
    } catch (const Error&) {
      if (!store_.find(layer->id)) return;
      throw;
    }
    // It may have been removed, and even imported again, while it was read; a second look tells.
    if (wrong.empty() || !store_.find(layer->id) || store_.verify(layer->id).ok() || !store_.find(layer->id)) return;
    throw std::runtime_error("damaged: " + layer->id.to_string() + "\n" + wrong);
  }

  LayerStore<>& store_;
  Mounter<> mounter_{store_};
  Mounts mounts_;
  std::mt19937 random_;
};

/// What is not as it should be in a store that nobody works on any more; empty: nothing.
inline std::string wrong_with(LayerStore<>& store) {
  std::string wrong;
  const Mounter<> mounter(store);
  for (const ContainerState& state : mounter.list()) {
    mounter.unmount(state.container.name);
    mounter.remove(state.container.name);
  }
  (void)mounter.clean();
  std::set<std::string> trees;
  for (const Layer& layer : store.list()) {
    trees.insert(layer.tree().hex());
    for (const Damage& damage : store.verify(layer.id).damages)
      wrong += layer.id.to_string() + ": " + damage.path + ": " + damage.what + "\n";
  }
  for (const Digest& id : store.damaged_records()) wrong += "the record of " + id.to_string() + " is damaged\n";
  for (const auto& entry : boost::filesystem::directory_iterator(store.root() / "trees" / "sha256"))
    if (!trees.contains(entry.path().filename().native())) wrong += "no layer has " + entry.path().native() + "\n";
  for (const char* room : {"staging", "containers", "mounts"})
    for (const auto& entry : boost::filesystem::directory_iterator(store.root() / room))
      wrong += "it is left: " + entry.path().native() + "\n";
  for (const MountedEntry& entry : mount_table())
    if (detail::container_of_source(*store.core(), entry.source)) wrong += "mounted: " + entry.target.native() + "\n";
  return wrong;
}

}  // namespace strata::test
