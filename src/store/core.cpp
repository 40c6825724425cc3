#include "store/core.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/tree_record.hpp"
#include "tree/directory.hpp"

#include <boost/filesystem/operations.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <unordered_set>

namespace strata::detail {

namespace fs = boost::filesystem;

namespace {

/// The record that makes a directory a store.
struct Format {
  int version = 0;
  std::string hash;
  std::string form;
};

Format parse_format(const std::string& text, const fs::path& root) {
  try {
    const auto json = nlohmann::json::parse(text);
    return {json.at("version").get<int>(), json.at("hash").get<std::string>(),
            json.at("union_form").get<std::string>()};
  } catch (const nlohmann::json::exception& error) {
    throw_error(errc::wrong_store, "open the store", quoted(root.native()),
                std::string("its format file can't be read: ") + error.what());
  }
}

bool holds_anything(int dir) { return !list_directory(dir).empty(); }

}  // namespace

StoreCore::StoreCore(const fs::path& root, const StoreOptions& options, HashPolicy hash,
                     std::vector<CompressionPolicy> codecs)
    : root_(fs::absolute(root)), durability_(options.durability), hash_(hash), codecs_(std::move(codecs)) {
  if (options.form && *options.form != UnionForm::overlay_trusted && *options.form != UnionForm::overlay_user)
    throw_error(errc::unsupported, "open a store of the union form", std::string(to_string(*options.form)),
                "trees are stored as overlay-trusted or overlay-user");
  if (options.create && sys::mkdirat(AT_FDCWD, root_.c_str(), 0700) != 0 && errno != EEXIST)
    throw_errno(errno, "create the store", quoted(root_.native()));
  root_fd_.reset(sys::openat(AT_FDCWD, root_.c_str(), O_RDONLY | O_DIRECTORY));
  if (!root_fd_) {
    if (errno == ENOENT) throw_error(errc::wrong_store, "open the store", quoted(root_.native()), "there is none");
    throw_errno(errno, "open the store", quoted(root_.native()));
  }
  const int dir = root_fd_.get();
  std::optional<std::string> text = read_small_file(dir, "format");
  if (!text) {
    if (!options.create || (holds_anything(dir) && !try_stat(dir, "lock")))
      throw_error(errc::wrong_store, "open the store", quoted(root_.native()), "the directory holds something else",
                  "name an empty or a new directory");
    // Whoever comes first makes the store; the format file is put in place last, by rename, and says that all is there.
    const Lock only = lock(Lock::Kind::exclusive);
    text = read_small_file(dir, "format");
    if (!text) {
      for (const char* name : {"layers", "trees", "containers", "leases", "tags", "mounts", "staging"})
        make_directory(dir, name);
      for (const char* name : {"layers", "trees"})
        make_directory(dir, std::string(name) + "/" + std::string(hash_.name));
      const nlohmann::ordered_json json = {
          {"version", LayerStoreBase::format_version},
          {"hash", hash_.name},
          {"union_form", to_string(options.form ? *options.form : best_union_form(dir))}};
      text = json.dump(1, '\t') + "\n";
      for (const char* name : {"staging.lock", "flights.lock"})
        (void)Lock::attempt(dir, name, Lock::Kind::shared);  // creates it
      // What a writer left that was killed here before.
      for (const DirectoryEntry& entry : list_directory(dir, root_.native()))
        if (entry.name.starts_with("format.")) (void)sys::unlinkat(dir, entry.name.c_str(), 0);
      const std::string draft = "format." + random_name();
      write_small_file(dir, draft, *text);
      if (durability_ == Durability::full && sys::syncfs(dir) != 0)
        throw_errno(errno, "sync the store", quoted(root_.native()));
      if (sys::renameat2(dir, draft.c_str(), dir, "format", 0) != 0)
        throw_errno(errno, "create the store", quoted(root_.native()));
      sync(dir, root_.native());
    }
  }
  const Format format = parse_format(*text, root_);
  if (format.version != LayerStoreBase::format_version)
    throw_error(errc::wrong_store, "open the store", quoted(root_.native()),
                "its format is version " + std::to_string(format.version) + ", this library reads version " +
                    std::to_string(LayerStoreBase::format_version));
  if (format.hash != hash_.name)
    throw_error(errc::wrong_store, "open the store", quoted(root_.native()),
                "its layers are named by " + quoted(format.hash) + ", not by " + std::string(hash_.name));
  form_ = union_form_by_name(format.form);
  if (options.form && *options.form != form_)
    throw_error(errc::wrong_store, "open the store", quoted(root_.native()), "its union form is " + format.form);
}

std::string StoreCore::layer_path(const Digest& id) const {
  return "layers/" + std::string(id.algorithm()) + "/" + id.hex();
}

std::string StoreCore::tree_path(const Digest& key) const {
  return "trees/" + std::string(key.algorithm()) + "/" + key.hex();
}

std::string StoreCore::blob_path(const Digest& blob) const {
  return "blobs/" + std::string(blob.algorithm()) + "/" + blob.hex();
}

fs::path StoreCore::layer_directory(const Digest& id) const { return root_ / layer_path(id); }
fs::path StoreCore::tree_directory(const Digest& key) const { return root_ / tree_path(key); }

bool StoreCore::is_at(const std::string& path, int fd) const {
  const auto there = try_stat(root_fd_.get(), path);
  const Metadata here = stat_of(fd);
  return there && there->device == here.device && there->inode == here.inode;
}

void StoreCore::sync(int dir, std::string_view shown) const {
  if (durability_ == Durability::full) sync_directory(dir, shown);
}

void StoreCore::write_record(int dir, const std::string& name, std::string_view text) const {
  write_small_file(dir, name, text);
  if (durability_ == Durability::full) sync_file(dir, name);
}

void StoreCore::write_note(int dir, const std::string& name, std::string_view text) const {
  detail::write_note(dir, name, text);
  if (durability_ == Durability::full) sync_note(dir, name);
}

bool StoreCore::has(const Digest& id) const {
  return try_stat(root_fd_.get(), layer_path(id) + "/metadata.json").has_value();
}

std::optional<Layer> StoreCore::find(const Digest& id) const {
  if (id.empty()) return std::nullopt;
  const std::string directory = layer_path(id);
  const auto damaged = [&](const std::string& how) {
    throw_error(errc::damaged, "read the record of", id.to_string(), how, "import the layer again");
  };
  std::optional<std::string> text;
  while (!(text = read_small_file(root_fd_.get(), directory + "/metadata.json"))) {
    if (!try_stat(root_fd_.get(), directory)) return std::nullopt;
    // It may have come between the two looks, as a whole.
    if (try_stat(root_fd_.get(), directory + "/metadata.json")) continue;
    if (try_stat(root_fd_.get(), directory)) damaged("there is none");
    return std::nullopt;
  }
  try {
    Layer layer = layer_from_json(*text);
    if (layer.id != id) damaged("it says that it is " + layer.id.to_string());
    if (chain_id(layer.parent, layer.diff_id()) != id) damaged("its parent and its diff id make another layer");
    if (layer.tree() != layer.diff_id() && layer.tree() != resolved_tree_key(*this, layer.parent, layer.diff_id()))
      damaged("it names the tree of another layer");
    return layer;
  } catch (const Error& error) {
    damaged(error.detail());
  }
  return std::nullopt;
}

std::optional<Layer> StoreCore::find_undamaged(const Digest& id) const {
  try {
    return find(id);
  } catch (const Error& error) {
    if (error.code() != errc::damaged) throw;
    return std::nullopt;
  }
}

Layer StoreCore::get(const Digest& id) const {
  if (auto layer = find(id)) return *std::move(layer);
  throw_error(errc::not_found, "find the layer", id.to_string(),
              "the store " + quoted(root_.native()) + " has none of this id");
}

std::vector<Digest> StoreCore::names_in(const char* room) const {
  const std::string algorithm(hash_.name), path = std::string(room) + "/" + algorithm;
  std::vector<Digest> names;
  const FileDescriptor dir = try_open_beneath(root_fd_.get(), path, O_RDONLY | O_DIRECTORY, root_.native());
  if (!dir) {
    // blobs/ is made for the first of them; without one of the others it is no store any more.
    if (std::string_view(room) == "blobs") return names;
    throw_errno(ENOENT, "open", quoted((root_ / path).native()));
  }
  for (const DirectoryEntry& entry : list_directory(dir.get(), root_.native()))
    if (auto name = Digest::try_parse(algorithm + ":" + entry.name)) names.push_back(*std::move(name));
  return names;
}

std::vector<Layer> StoreCore::list(std::vector<Digest>* damaged) const {
  std::vector<Layer> layers;
  for (const Digest& id : ids()) {
    try {
      // A layer that is removed meanwhile is no longer listed.
      if (auto layer = find(id)) layers.push_back(*std::move(layer));
    } catch (const Error& error) {
      if (error.code() != errc::damaged) throw;
      if (damaged != nullptr) damaged->push_back(id);
    }
  }
  return layers;
}

std::vector<fs::path> StoreCore::lowers(const Layer& layer) const {
  std::vector<fs::path> paths;
  paths.reserve(layer.trees.size());
  std::unordered_set<Digest> seen;
  for (auto key = layer.trees.rbegin(); key != layer.trees.rend(); ++key)
    // The kernel refuses a directory that is there twice. All that a tree puts or hides, it does from its topmost
    // place.
    if (seen.insert(*key).second) paths.emplace_back(root_.native() + "/" + tree_path(*key) + "/fs");
  return paths;
}

std::optional<fs::path> StoreCore::root_attributes(const Layer& layer) const {
  if (layer.root_tree < 0) return std::nullopt;
  return tree_directory(layer.trees[static_cast<std::size_t>(layer.root_tree)]) / "fs";
}

std::vector<Container> StoreCore::containers() const {
  std::vector<Container> found;
  const FileDescriptor dir = open_directory(containers_directory());
  for (const DirectoryEntry& entry : list_directory(dir.get(), containers_directory().native()))
    if (auto container = find_container(entry.name)) found.push_back(*std::move(container));
  return found;
}

std::optional<Container> StoreCore::find_container(std::string_view name) const {
  check_container_name(name);
  const auto text = read_note(root_fd_.get(), "containers/" + std::string(name) + "/container.json");
  if (!text) return std::nullopt;
  return container_from_json(*text, containers_directory() / std::string(name));
}

}  // namespace strata::detail
