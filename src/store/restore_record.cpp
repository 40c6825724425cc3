#include "store/restore_record.hpp"

#include <strata/compression.hpp>
#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/draft.hpp"
#include "store/tree_record.hpp"
#include "tree/directory.hpp"

#include <nlohmann/json.hpp>

#include <vector>

namespace strata::detail {

namespace {

/// What a layer may stand on: nothing, or any layer whose record can be read.
std::vector<std::optional<Layer>> possible_parents(const StoreCore& core) {
  std::vector<std::optional<Layer>> parents{std::nullopt};
  for (const Digest& id : core.ids()) try {
      if (auto layer = core.find(id)) parents.push_back(std::move(layer));
    } catch (const Error&) {
      // Another one that can't be read.
    }
  return parents;
}

Layer layer_of(const std::optional<Layer>& parent, const Digest& key, const TreeRecord& tree) {
  Layer layer = parent ? *parent : Layer();
  layer.parent = parent ? std::optional(parent->id) : std::nullopt;
  layer.id = chain_id(layer.parent, tree.diff_id);
  layer.diff_ids.push_back(tree.diff_id);
  layer.trees.push_back(key);
  if (tree.root_listed) layer.root_tree = static_cast<int>(layer.trees.size()) - 1;
  layer.size = tree.size;
  layer.tar_size = tree.tar_size;
  layer.entries = tree.entries;
  return layer;
}

/// How a tree may come to be a layer's: made for its chain, or as it would be on any.
enum class Made { for_the_chain, for_any };

/// The layer of this id that a tree makes with one of these parents.
std::optional<Layer> layer_with(const StoreCore& core, const Digest& id, const Digest& key, Made made,
                                const std::vector<std::optional<Layer>>& parents) try {
  const FileDescriptor dir = open_directory(core.tree_directory(key));
  const auto tree = find_tree_record(dir.get());
  if (!tree) return std::nullopt;
  for (const std::optional<Layer>& parent : parents) {
    const std::optional<Digest> below = parent ? std::optional(parent->id) : std::nullopt;
    if (chain_id(below, tree->diff_id) != id) continue;
    if (key == (made == Made::for_any ? tree->diff_id : resolved_tree_key(core, below, tree->diff_id)))
      return layer_of(parent, key, *tree);
  }
  return std::nullopt;
} catch (const Error&) {
  return std::nullopt;  // a tree that doesn't say what it is
}

/// As far as the old record is JSON still.
void take_texts(Layer& layer, const std::string& old) {
  const auto json = nlohmann::json::parse(old, nullptr, false);
  const auto text = [&](const char* member) {
    const bool has = json.is_object() && json.contains(member) && json[member].is_string();
    return has ? json[member].get<std::string>() : std::string();
  };
  layer.created = text("created");
  if (layer.created.empty()) layer.created = now_rfc3339();
  layer.author = text("author");
  layer.comment = text("comment");
  layer.media_type = text("media_type");
  const auto blob = Digest::try_parse(text("blob"));
  const bool has_blob = blob && json.contains("blob_size") && json["blob_size"].is_number_unsigned();
  if (has_blob && !layer.media_type.empty()) {
    layer.blob = *blob;
    layer.blob_size = json["blob_size"].get<std::uint64_t>();
    return;
  }
  layer.media_type = Uncompressed::media_type;
  layer.blob = layer.diff_id();
  layer.blob_size = layer.tar_size;
}

}  // namespace

bool has_unreadable_record(const StoreCore& core, const Digest& id) {
  try {
    if (core.find(id)) return false;
  } catch (const Error& error) {
    if (error.code() != errc::damaged) throw;
  }
  return try_stat(core.root_descriptor(), core.layer_path(id)).has_value();
}

bool is_child(const StoreCore& core, const Digest& id, const Digest& parent) {
  for (const Digest& key : core.names_in("trees")) {
    try {
      const auto tree = find_tree_record(open_directory(core.tree_directory(key)).get());
      if (tree && chain_id(parent, tree->diff_id) == id) return true;
    } catch (const Error& error) {
      if (error.code() != errc::damaged) throw;  // a tree that doesn't say what it is
    }
  }
  return false;
}

Layer restore_record(const StoreCore& core, const Digest& id) {
  const auto parents = possible_parents(core);
  const std::vector<Digest> keys = core.names_in("trees");
  std::optional<Layer> found;
  // A tree that was made for this very chain is the layer's, also where the same tar has made another for any.
  for (const Made made : {Made::for_the_chain, Made::for_any})
    for (const Digest& key : keys)
      if (!found) found = layer_with(core, id, key, made, parents);
  if (!found)
    throw_error(errc::damaged, "restore the record of", id.to_string(),
                "no tree of the store, on any layer whose record can be read, gives this id",
                "repair the layers below it first, if their records are damaged too; else remove " +
                    quoted(core.layer_directory(id).native()) + " and import the layer again");
  const FileDescriptor directory = open_directory(core.layer_directory(id));
  take_texts(*found, read_small_file(directory.get(), "metadata.json").value_or(""));
  const Draft draft(core);
  write_small_file(draft.descriptor(), "metadata.json", to_json(*found));
  draft.sync();
  if (sys::renameat2(draft.descriptor(), "metadata.json", directory.get(), "metadata.json", 0) != 0)
    throw_errno(errno, "restore the record of", id.to_string());
  core.sync(directory.get(), core.layer_path(id));
  return *found;
}

}  // namespace strata::detail
