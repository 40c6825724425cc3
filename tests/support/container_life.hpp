// The life of a container, from import to commit, whose outcome is the same wherever it works.
#pragma once

#include <strata/layer_store.hpp>
#include <strata/mounter.hpp>

#include "support/mount_files.hpp"
#include "support/tar_builder.hpp"

#include <string>

namespace strata::test {

struct LifeResult {
  std::string method;   ///< how it was mounted
  std::string diff_id;  ///< of what was changed
};

/// Imports two layers into a store in `place`, mounts them, changes things in every way, unmounts, and makes the
/// changes a layer. Throws what goes wrong.
inline LifeResult container_life(const boost::filesystem::path& place) {
  namespace fs = boost::filesystem;
  LayerStore<> store(place / "store", {.durability = Durability::none});
  const auto import = [&](const std::vector<RawHeader>& entries, std::optional<Digest> parent) {
    TarBuilder tar;
    for (const RawHeader& entry : entries) tar.add(entry);
    tar.end();
    ImportOptions options;
    options.parent = parent;
    return store.import(MemorySource(tar.bytes), options).id;
  };
  const Digest base = import({{.path = "./", .type = '5', .mode = "0000755"},
                              {.path = "changed", .content = "base"},
                              {.path = "deleted", .content = "base"},
                              {.path = "hidden", .content = "base"},
                              {.path = "dir/", .type = '5', .mode = "0000755"},
                              {.path = "dir/below", .content = "base"}},
                             std::nullopt);
  const Digest top = import({{.path = ".wh.hidden"}, {.path = "link", .type = '2', .link = "changed"}}, base);

  const Mounter<> mounter(store);
  auto root = mounter.mount(top, "life");
  const fs::path& merged = root.path();
  if (names(merged) != "changed deleted dir link") throw std::runtime_error("the view is wrong: " + names(merged));
  put(merged / "changed", "changed");
  fs::permissions(merged / "changed", fs::perms(0600));
  fs::remove(merged / "deleted");
  fs::remove_all(merged / "dir");
  fs::create_directory(merged / "dir");
  put(merged / "dir/new", "new");
  fs::create_hard_link(merged / "dir/new", merged / "second");
  fs::create_symlink("nowhere", merged / "symlink");
  set_attribute(merged / "changed", "user.note", "note");
  fs::create_directory(merged / "made");
  fs::rename(merged / "made", merged / "renamed");
  const timespec times[2] = {{1000000000, 0}, {1000000000, 0}};
  for (const char* name : {"changed", "dir/new", "symlink", "renamed", "dir", ""})
    if (::utimensat(AT_FDCWD, (merged / name).c_str(), times, *name ? AT_SYMLINK_NOFOLLOW : 0) != 0)
      throw std::runtime_error(std::string("can't set the time of ") + name);
  root.unmount();
  const auto committed = store.commit(store.find_container("life").value());
  if (!store.verify(committed.id, {.level = VerifyLevel::proving}).ok())
    throw std::runtime_error("the layer is damaged");
  return {root.result().method, committed.diff_id().to_string()};
}

}  // namespace strata::test
