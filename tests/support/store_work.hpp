// Work of every kind on a store, at random, and a look at what many of such workers leave. Used by threads and
// processes beside each other, which may be killed.
#pragma once

#include <strata/error.hpp>
#include <strata/layer_manager.hpp>
#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include "mount/container_directory.hpp"
#include "mount/container_mounts.hpp"
#include "mount/mount_table.hpp"
#include "support/fake_registry.hpp"
#include "support/tar_builder.hpp"

#include <boost/filesystem.hpp>

#include <algorithm>
#include <cstdio>
#include <deque>
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

constexpr int chains = 3, depth = 3, containers = 4, tags = 4, leases = 3;

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

/// Images of these layers, so that they share them with what is imported: of a chain's first levels.
inline AnySource image(std::size_t chain, std::size_t levels) {
  static std::deque<FakeNetwork>& networks = *[] {
    auto* const made = new std::deque<FakeNetwork>;
    for (int i = 0; i < chains * depth; ++i) {
      std::vector<std::string> tars;
      for (int level = 0; level <= i % depth; ++level) tars.push_back(tar_of(i / depth, level));
      made->emplace_back(image_of(tars));
    }
    return made;
  }();
  return AnySource(FakeSource(networks[chain * depth + levels - 1]));
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

  /// One operation at random.
  void step() {
    static constexpr void (StoreWork::*operations[])() = {
        &StoreWork::import,  &StoreWork::import,         &StoreWork::import_chain, &StoreWork::import_kept,
        &StoreWork::remove,  &StoreWork::mount,          &StoreWork::commit,       &StoreWork::unmount,
        &StoreWork::verify,  &StoreWork::drop_container, &StoreWork::clean,        &StoreWork::collect,
        &StoreWork::set_tag, &StoreWork::untag,          &StoreWork::hold_lease,   &StoreWork::leave_lease,
        &StoreWork::pull,    &StoreWork::pull,           &StoreWork::remove_image, &StoreWork::tag_image,
        &StoreWork::prune,   &StoreWork::look_at_image,  &StoreWork::repair_image, &StoreWork::commit_image,
    };
    const auto operation = operations[number(std::size(operations))];
    attempt([&] { (this->*operation)(); });
  }

  /// As step(), of what is to last, and each told: "+ID" stored, "-ID" about to be removed, "=TAG ID" tagged, "?TAG"
  /// about to be tagged or untagged. For a store that nobody else works on.
  void step_told(std::FILE* marks) {
    const auto tell = [&](const std::string& text) {
      std::fprintf(marks, "%s\n", text.c_str());
      std::fflush(marks);
    };
    const auto tell_all = [&](char sign, const std::vector<Digest>& ids) {
      for (const Digest& id : ids) tell(sign + id.to_string());
    };
    switch (number(14)) {
      case 0:
      case 1:
        return attempt([&] {
          const auto layer = some_layer();
          if (!layer || !store_.children(layer->id).empty()) return;
          for (const Tag& tag : store_.tags())
            if (tag.layer == layer->id) return;
          tell_all('-', {layer->id});
          store_.remove(layer->id);
        });
      case 2:
        return attempt([&] {
          tell_all('-', collect_all(true).layers);
          collect();
        });
      case 3:
      case 4:
        return attempt([&] {
          const auto layer = some_layer();
          const std::string tag = tag_name();
          if (!layer) return;
          tell("?" + tag);
          store_.tag(tag, layer->id);
          tell("=" + tag + " " + layer->id.to_string());
        });
      case 5:
        return attempt([&] {
          const std::string tag = tag_name();
          tell("?" + tag);
          store_.untag(tag);
        });
      case 6:
      case 7:
        return attempt([&] {
          const std::string tag = tag_name();
          tell("?" + tag);
          const Image image = pull_one(tag);
          std::vector<Digest> layers;
          for (const Layer& layer : store_.chain(image.layer)) layers.push_back(layer.id);
          tell_all('+', layers);
          tell("=" + tag + " " + image.layer.to_string());
        });
      default:
        return attempt([&] { tell_all('+', number(2) ? std::vector{import_one()} : import_several()); });
    }
  }

 private:
  std::size_t number(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }
  std::string name() { return "c" + std::to_string(number(work::containers)); }
  std::string tag_name() { return "t" + std::to_string(number(work::tags)); }
  std::string lease_name() { return "l" + std::to_string(number(work::leases)); }
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
  /// One that is known beforehand, so that the others who import it wait.
  void import_kept() {
    if (!lease_) hold_lease();
    const std::string tar = work::tar_of(static_cast<int>(number(work::chains)), 0);
    ImportOptions options;
    options.owners = Owners::squash;
    AnyHash hash = HashPolicy::of<Sha256>().start();
    hash.update(std::as_bytes(std::span(tar)));
    options.expected_diff_id = hash.finish();
    options.lease = &*lease_;
    options.tag = tag_name();
    const Digest id = store_.import(MemorySource(tar), options).id;
    const auto leases = store_.leases();
    const auto mine = std::ranges::find(leases, lease_->name(), &LeaseState::name);
    if (mine == leases.end() || !mine->live || std::ranges::find(mine->layers, id) == mine->layers.end() ||
        !store_.find(id))
      throw std::runtime_error("the lease " + lease_->name() + " has lost " + id.to_string());
  }
  Image pull_one(const std::string& tag) {
    PullOptions options;
    options.owners = Owners::squash;
    options.keep_blobs = number(3) != 0;
    return manager_.pull(work::image(number(work::chains), 1 + number(work::depth)), tag, options);
  }
  void pull() { pull_one(number(2) ? tag_name() : ""); }
  std::optional<Digest> some_image() {
    const std::vector<Digest> images = manager_.images().digests();
    if (images.empty()) return std::nullopt;
    return images[number(images.size())];
  }
  void remove_image() {
    if (const auto image = some_image()) manager_.images().remove(*image, number(2) != 0);
  }
  void tag_image() {
    if (const auto image = some_image()) manager_.images().tag(*image, tag_name());
  }
  void prune() { (void)manager_.prune({.all = number(2) != 0, .min_age = std::chrono::seconds(0)}); }
  void look_at_image() {
    const auto image = some_image();
    if (!image || manager_.images().verify(*image).ok()) return;
    // As of a layer: it may have been removed and pulled again while it was looked at.
    if (manager_.images().verify(*image).ok() || !manager_.images().resolve(image->to_string())) return;
    throw std::runtime_error("damaged: image " + image->to_string());
  }
  void repair_image() {
    const auto image = some_image();
    if (!image) return;
    AnySource source = work::image(number(work::chains), work::depth);
    (void)manager_.repair(*image, {.source = &source, .owners = Owners::squash});
  }
  void commit_image() { (void)manager_.commit(name(), {.name = tag_name()}); }
  void set_tag() {
    if (const auto layer = some_layer()) store_.tag(tag_name(), layer->id);
  }
  void untag() { store_.untag(tag_name()); }
  void hold_lease() { lease_.emplace(store_.lease()); }
  void leave_lease() {
    lease_.reset();
    const std::string name = lease_name();
    attempt([&] { store_.remove_lease(name); });
    const auto layer = some_layer();
    if (layer) store_.lease({.name = name, .survives = true}).add(layer->id);
  }
  GcResult collect_all(bool dry_run) {
    GcOptions options;
    options.dry_run = dry_run;
    options.min_age = std::chrono::seconds(0);
    return store_.gc(options);
  }
  void collect() { collect_all(false); }
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
    const auto made = detail::LockedContainer::create(*store_.core(), container, store_.get(layer));
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
  LayerManager<LayerStore<>, Mounter<>> manager_{store_};
  Mounts mounts_;
  std::mt19937 random_;
  std::optional<Lease> lease_;
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
  for (const LeaseState& lease : store.leases()) store.remove_lease(lease.name);
  for (const Tag& tag : store.tags())
    if (!store.find(tag.layer)) wrong += "tag " + tag.name + " is of a layer that is gone\n";
  (void)store.gc();  // what killed ones have left; all layers are too young
  std::set<std::string> trees;
  for (const Layer& layer : store.list()) {
    trees.insert(layer.tree().hex());
    for (const Damage& damage : store.verify(layer.id).damages)
      wrong += layer.id.to_string() + ": " + damage.path + ": " + damage.what + "\n";
  }
  const ImageStore images(store);
  for (const ImageVerifyResult& image : images.verify(images.digests())) {
    if (!image.ok()) wrong += "image " + image.image.to_string() + " isn't whole " + image.record + "\n";
    for (const auto& blob : image.blobs) wrong += blob.digest.to_string() + ": " + blob.what + "\n";
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
