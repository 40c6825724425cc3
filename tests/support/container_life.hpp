// The life of a container, from import to commit, whose outcome is the same wherever it works.
#pragma once

#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include "support/import_entries.hpp"
#include "support/mount_files.hpp"

#include <optional>
#include <string>

namespace strata::test {

/// What a life does beside that which every backend can.
struct LifeWishes {
  bool attributes = true;  ///< extended ones of files
  bool made_again = true;  ///< a directory of the layers is deleted and made anew
};

struct LifeResult {
  std::string method;   ///< how it was mounted
  std::string diff_id;  ///< of what was changed
};

namespace life {

inline void set_time(const boost::filesystem::path& file) {
  const timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
  if (::utimensat(AT_FDCWD, file.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    throw std::runtime_error("can't set the time of " + file.native());
}

inline Digest import_layers(LayerStoreBase& store) {
  std::vector<RawHeader> entries = {{.path = "./", .type = '5', .mode = "0000755"}};
  for (const char* name : {"changed", "deleted", "hidden", "longer", "shorter", "mode", "old time", "to be a directory",
                           "to be a symlink", "moved", "over", "replaced by rename", "odd \xff\n name", "untouched"})
    entries.push_back({.path = name, .content = "base"});
  for (const char* name : {"dir/", "dir/deep/", "dir/deep/er/", "gone/", "gone/with/", "again/", "moved into/",
                           "to be a file/", "mode of dir/"}) {
    entries.push_back({.path = name, .type = '5', .mode = "0000755"});
    entries.push_back({.path = name + std::string("below"), .content = "base"});
  }
  entries.push_back({.path = "link", .type = '2', .link = "changed"});
  entries.push_back({.path = "link to be a file", .type = '2', .link = "changed"});
  const Digest base = import_entries(store, entries);
  return import_entries(store,
                        {{.path = ".wh.hidden"},
                         {.path = "of the top", .content = "top"},
                         {.path = "dir/of the top", .content = "top"},
                         {.path = "again/.wh.below"},
                         {.path = "again/above", .content = "top"}},
                        base);
}

/// Some forty changes, of every kind that a layer can tell, and then times that don't depend on when it was.
inline void change(const boost::filesystem::path& root, const LifeWishes& wishes) {
  namespace fs = boost::filesystem;
  put(root / "changed", "changed");
  put(root / "longer", "more than base");
  fs::resize_file(root / "shorter", 1);
  fs::permissions(root / "mode", fs::perms(0600));
  fs::permissions(root / "mode of dir", fs::perms(0700));
  fs::remove(root / "deleted");
  fs::remove(root / "of the top");
  fs::remove_all(root / "gone");
  fs::remove(root / "to be a directory");
  fs::create_directory(root / "to be a directory");
  put(root / "to be a directory/inside", "new");
  fs::remove(root / "to be a symlink");
  fs::create_symlink("changed", root / "to be a symlink");
  fs::remove_all(root / "to be a file");
  put(root / "to be a file", "new");
  fs::remove(root / "link to be a file");
  put(root / "link to be a file", "new");
  fs::remove(root / "link");
  fs::create_symlink("nowhere", root / "link");
  fs::rename(root / "moved", root / "moved into/moved");
  fs::rename(root / "replaced by rename", root / "over");
  fs::remove(root / "odd \xff\n name");
  put(root / "new odd \xff\n name", "new");
  put(root / "dir/deep/er/new", "new");
  fs::remove(root / "dir/deep/below");
  put(root / "dir/of the top", "changed");
  fs::create_directories(root / "made/deep/er");
  put(root / "made/deep/er/new", "new");
  fs::create_hard_link(root / "made/deep/er/new", root / "made/second name");
  fs::create_directory(root / "made/empty");
  put(root / "made/empty file", "");
  fs::create_directory(root / "made and deleted");
  fs::remove(root / "made and deleted");
  put(root / "made and renamed", "new");
  fs::rename(root / "made and renamed", root / "renamed");
  fs::create_directory(root / "made dir");
  fs::rename(root / "made dir", root / "renamed dir");
  put(root / "sparse", "");
  fs::resize_file(root / "sparse", 1U << 20);
  if (::mkfifo((root / "fifo").c_str(), 0644) != 0) throw std::runtime_error("can't make a fifo");
  if (wishes.attributes) {
    set_attribute(root / "changed", "user.note", "note");
    set_attribute(root / "made/deep/er/new", "user.note", "note");
  }
  if (wishes.made_again) {
    fs::remove_all(root / "again");
    fs::create_directory(root / "again");
    put(root / "again/new", "new");
  }
  set_time(root / "old time");
  for (fs::recursive_directory_iterator at(root), end; at != end; ++at)
    if (const auto st = stat_of(at->path()); S_ISDIR(st.st_mode) || st.st_mtime > 1000000000) set_time(at->path());
  set_time(root);
}

}  // namespace life

/// Imports two layers into a store in `place`, mounts them, changes things in every way, unmounts, and makes the
/// changes a layer. Throws what goes wrong.
template <MountBackend Backend = KernelOverlay>
LifeResult container_life(const boost::filesystem::path& place, const LifeWishes& wishes = {}, Backend backend = {}) {
  LayerStore<> store(place / "store", {.durability = Durability::none});
  const Digest top = life::import_layers(store);
  const Mounter<Backend> mounter(store, std::move(backend));
  auto root = mounter.mount(top, "life");
  if (names(root.path() / "again") != "above" || boost::filesystem::exists(root.path() / "hidden"))
    throw std::runtime_error("the view is wrong: " + names(root.path()));
  life::change(root.path(), wishes);
  root.unmount();
  std::optional<MountedRoot> again;
  // What is on a device of its own can be looked at while it is mounted.
  if (Backend::name == "devicemapper") again = mounter.mount(top, "life");
  const auto committed = store.commit(store.find_container("life").value());
  if (!store.verify(committed.id, {.level = VerifyLevel::proving}).ok())
    throw std::runtime_error("the layer is damaged");
  return {root.result().method, committed.diff_id().to_string()};
}

}  // namespace strata::test
