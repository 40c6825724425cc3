#include "scene.hpp"

#include <strata/compression.hpp>
#include <strata/error.hpp>

#include "mount/container_directory.hpp"
#include "mount/container_mounts.hpp"
#include "mount/mount_table.hpp"
#include "store/draft.hpp"
#include "support/codec.hpp"
#include "support/tar_builder.hpp"

#include <boost/filesystem.hpp>
#include <boost/filesystem/fstream.hpp>

#include <algorithm>
#include <random>

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

namespace strata::test {

namespace fs = boost::filesystem;

namespace {

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() & 0xff);
  return bytes;
}

std::string base_tar() {
  TarBuilder tar;
  tar.add({.path = "./", .type = '5', .mode = "0000755"});
  tar.add({.path = "dir/", .type = '5', .mode = "0000750", .mtime = "00000001000"});
  tar.add({.path = "dir/file", .content = "what the base has"});
  tar.add({.path = "dir/second", .type = '1', .link = "dir/file"});
  tar.add({.path = "link", .type = '2', .link = "dir/file"});
  tar.add({.path = "gone/", .type = '5', .mode = "0000755"}).add({.path = "gone/inside", .content = "hidden later"});
  tar.add({.path = "fifo", .type = '6'}).add({.path = "empty"});
  return tar.end().bytes;
}

std::string child_tar() {
  TarBuilder tar;
  tar.add({.path = "dir/linked", .type = '1', .link = "dir/file"});  // to a lower file
  tar.add({.path = "dir/new", .content = "what the child has"});     // below a directory that only the base describes
  tar.add({.path = ".wh.link"});
  tar.add({.path = "gone/", .type = '5', .mode = "0000700"}).add({.path = "gone/.wh..wh..opq"});
  return tar.end().bytes;
}

/// On top of the child: what no other of these has.
std::string odd_tar() {
  TarBuilder tar;
  tar.pax({{"SCHILY.xattr.user.colour", "blue"}}).add({.path = "coloured", .content = "with an attribute"});
  tar.pax({{"GNU.sparse.major", "1"},
           {"GNU.sparse.minor", "0"},
           {"GNU.sparse.name", "holes"},
           {"GNU.sparse.realsize", "1048576"}});
  std::string map = "2\n4096\n512\n1048064\n512\n";
  map.resize(512, '\0');
  tar.add({.path = "GNUSparseFile.0/holes", .content = map + std::string(1024, 's')});
  tar.add({.path = "twice", .content = "replaced, and kept for the export"}).add({.path = "twice", .content = "final"});
  tar.add({.path = "dir/deep/er/file", .content = "its directories are implied"});
  tar.add({.path = "one", .content = "of two names"}).add({.path = "two", .type = '1', .link = "one"});
  tar.add({.path = "shut/", .type = '5', .mode = "0000500"}).add({.path = "shut/in", .content = "x"});
  return tar.end().bytes;
}

/// Large enough for threads (LayerStream::small_layer), compressed too.
std::string large_tar() {
  TarBuilder tar;
  for (unsigned i = 0; i < 3; ++i) tar.add({.path = "noise" + std::to_string(i), .content = noise(110'000, i)});
  for (unsigned i = 0; i < 10; ++i)
    tar.add({.path = "many/" + std::to_string(i), .content = "file " + std::to_string(i)});
  tar.add({.path = "again", .type = '1', .link = "noise1"});
  return tar.end().bytes;
}

void write_file(const fs::path& file, const std::string& text) { fs::ofstream(file) << text; }

void list(const fs::path& directory, int depth, const std::string& prefix, std::vector<std::string>& found) {
  boost::system::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    const std::string name = prefix + entry.path().filename().native();
    found.push_back(name);
    if (depth > 1 && fs::is_directory(entry.symlink_status())) list(entry.path(), depth - 1, name + "/", found);
  }
}

}  // namespace

const Tars& tars() {
  static const Tars made = [] {
    Tars all{base_tar(), child_tar(), odd_tar(), large_tar(), {}, {}, {}};
    all.large_gzip = encode(CompressionPolicy::of<Gzip>(), all.large);
    all.large_zstd = encode(CompressionPolicy::of<Zstd>(), all.large);
    all.small_gzip = encode(CompressionPolicy::of<Gzip>(), all.odd);
    return all;
  }();
  return made;
}

Scene::Scene(const fs::path& place) : place_(place) {
  fs::create_directories(place_);
  reopen();
  base_ = import(tars().base);
  child_ = import(tars().child, base_);
}

void Scene::reopen() {
  store_.reset();
  store_ = std::make_unique<LayerStore<>>(root());
}

Digest Scene::import(const std::string& tar, const std::optional<Digest>& parent) {
  ImportOptions options;
  options.parent = parent;
  options.created = "2024-01-01T00:00:00Z";
  options.owners = Owners::squash;
  return store().import(MemorySource(tar), options).id;
}

void Scene::remove_if_there(const Digest& id) {
  if (store().find(id)) store().remove(id);
}

Container Scene::make_container(const std::string& name) {
  Container container;
  container.name = name;
  container.layer = child();
  container.created = "2024-01-01T00:00:00Z";
  container.backend = "overlay";
  container.directory = root() / "containers" / name;
  container.target = root() / "mounts" / name;
  if (!detail::LockedContainer::create(*store().core(), container, store().get(child())))
    throw std::runtime_error(name + " is there already");
  const fs::path upper = container.upper();
  write_file(upper / "written", "by the container");
  fs::create_directories(upper / "made" / "inside");
  write_file(upper / "made" / "inside" / "file", std::string(5000, 'x'));
  fs::create_symlink("written", upper / "symlink");
  fs::create_hard_link(upper / "written", upper / "hard");
  if (::mknod((upper / "empty").c_str(), S_IFCHR | 0600, makedev(0, 0)) != 0)
    throw std::runtime_error("cannot make a whiteout");
  return container;
}

void Scene::remove_container(const std::string& name) {
  if (store().find_container(name)) Mounter<>(store()).remove(name);
}

std::string Scene::damages() const {
  std::string wrong;
  for (const Digest& id : {base_, child_})
    if (!store_->find(id)) wrong += "the layer " + id.to_string() + " is gone\n";
  for (const Layer& layer : store_->list())
    for (const Damage& damage : store_->verify(layer.id).damages)
      wrong += "layer " + layer.id.to_string() + ": " + damage.path + ": " + damage.what + "\n";
  return wrong;
}

std::string Scene::names() const {
  std::string text = names_beneath(root(), 1);
  for (const char* room : {"layers", "trees"}) text += names_beneath(root() / room, 2);
  for (const char* room : {"containers", "leases", "tags", "mounts", "staging"})
    text += names_beneath(root() / room, 1);
  for (const MountedEntry& entry : mount_table())
    if (detail::container_of_source(*store_->core(), entry.source)) text += "mounted: " + entry.target.native() + "\n";
  return text;
}

void Scene::sweep() {
  detail::sweep_drafts(*store().core());
  (void)Mounter<>(store()).clean();
}

std::string names_beneath(const fs::path& directory, int depth) {
  std::vector<std::string> found;
  list(directory, depth, directory.filename().native() + "/", found);
  std::sort(found.begin(), found.end());
  std::string text;
  for (const std::string& name : found) text += name + "\n";
  return text;
}

std::size_t open_descriptors() {
  std::vector<std::string> found;
  list("/proc/self/fd", 1, "", found);
  return found.size();
}

}  // namespace strata::test
