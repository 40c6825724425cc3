#include "store/translations.hpp"
#include "mount/host.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/draft.hpp"
#include "store/layer_extract.hpp"
#include "tree/translate.hpp"

#include <unordered_set>

namespace strata::detail {
namespace {

constexpr const char* room = "translated";

std::string directory_of(const StoreCore& core, UnionForm form) {
  return std::string(room).append("/").append(to_string(form)).append("/").append(core.hash().name);
}
std::string path_of(const StoreCore& core, UnionForm form, const Digest& key) {
  return directory_of(core, form) + "/" + key.hex();
}

/// Held while a tree is read, it keeps repairs of it out: they make other files of it.
Lock lock_tree(const StoreCore& core, const Digest& key) {
  for (;;) {
    const FileDescriptor tree = open_beneath(core.root_descriptor(), core.tree_path(key), O_RDONLY | O_DIRECTORY);
    Lock lock = Lock::wait(tree.get(), "lock", Lock::Kind::shared);
    if (core.is_at(core.tree_path(key), tree.get())) return lock;
  }
}

void translate(const StoreCore& core, const Layer& layer, const Digest& key, UnionForm form, const Control& control) {
  const Draft draft(core);
  draft.need(layer.id);
  make_directory(draft.descriptor(), "tree");
  make_directory(draft.descriptor(), "tree/fs");
  const Lock kept = lock_tree(core, key);
  with_zero_umask([&](bool) {
    translate_tree(core.tree_directory(key) / "fs", core.form(), draft.path() / "tree" / "fs", form, control);
  });
  draft.sync();
  make_directory(core.root_descriptor(), room);
  make_directory(core.root_descriptor(), std::string(room).append("/").append(to_string(form)));
  const std::string directory = directory_of(core, form);
  make_directory(core.root_descriptor(), directory);
  // Where there is one already, another was first.
  if (draft.publish("tree", path_of(core, form, key)))
    core.sync(open_beneath(core.root_descriptor(), directory, O_RDONLY | O_DIRECTORY).get(), directory);
}

}  // namespace

std::vector<boost::filesystem::path> StoreCore::lowers(const Layer& layer, UnionForm form,
                                                       const Control& control) const {
  if (form == form_) return lowers(layer);
  // What isn't seen would be left out, and that for everyone.
  if (!sees_marks(form_))
    throw_error(errc::unsupported, "translate the trees of", layer.id.to_string(),
                "their marks can't be seen from a user namespace, or without CAP_SYS_ADMIN",
                "work as root outside of user namespaces, or with a store that was made inside one");
  std::vector<boost::filesystem::path> paths;
  std::unordered_set<std::string> seen;
  for (auto key = layer.trees.rbegin(); key != layer.trees.rend(); ++key) {
    if (!seen.insert(key->to_string()).second) continue;
    const std::string path = path_of(*this, form, *key);
    if (!try_stat(root_descriptor(), path)) translate(*this, layer, *key, form, control);
    paths.push_back(root_ / path / "fs");
  }
  return paths;
}

std::vector<TranslatedTree> translated_trees(const StoreCore& core) {
  std::vector<TranslatedTree> found;
  if (!try_stat(core.root_descriptor(), room)) return found;
  for (const UnionForm form : all_union_forms) {
    const std::string directory = directory_of(core, form);
    const FileDescriptor dir = try_open_beneath(core.root_descriptor(), directory, O_RDONLY | O_DIRECTORY);
    if (!dir) continue;
    for (const DirectoryEntry& entry : list_directory(dir.get(), directory))
      if (auto key = Digest::try_parse(std::string(core.hash().name) + ":" + entry.name))
        found.push_back({*std::move(key), directory + "/" + entry.name});
  }
  return found;
}

std::vector<std::string> translations_of(const StoreCore& core, const Digest& key) {
  std::vector<std::string> found;
  if (!try_stat(core.root_descriptor(), room)) return found;
  for (const UnionForm form : all_union_forms)
    if (std::string path = path_of(core, form, key); try_stat(core.root_descriptor(), path))
      found.push_back(std::move(path));
  return found;
}

std::function<nlink_t(const MergedView&, const MergedView::Entry&)> names_in_translations(const StoreCore& core) {
  std::vector<std::string> rooms;
  if (try_stat(core.root_descriptor(), room))
    for (const UnionForm form : all_union_forms)
      if (std::string directory = directory_of(core, form); try_stat(core.root_descriptor(), directory))
        rooms.push_back(directory + "/");
  if (rooms.empty()) return {};
  const std::string trees = (core.root() / "trees" / std::string(core.hash().name)).native() + "/";
  return [&core, rooms, trees](const MergedView& view, const MergedView::Entry& entry) {
    nlink_t names = 0;
    const std::string path = view.shown(entry);
    if (!path.starts_with(trees)) return names;
    for (const std::string& directory : rooms) {
      const FileDescriptor file =
          try_open_beneath(core.root_descriptor(), directory + path.substr(trees.size()), O_PATH | O_NOFOLLOW);
      if (!file) continue;
      const Metadata there = stat_of(file.get());
      if (there.inode == entry.metadata.inode && there.device == entry.metadata.device) ++names;
    }
    return names;
  };
}

void take_translations(const StoreCore& core, const Draft& draft, const Digest& key) {
  for (const std::string& path : translations_of(core, key)) draft.take(path, "translation." + random_name());
}

}  // namespace strata::detail
