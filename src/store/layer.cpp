#include <strata/layer.hpp>

#include <strata/error.hpp>
#include <strata/hash.hpp>

#include "base/record.hpp"

#include <nlohmann/json.hpp>

namespace strata {

namespace {

Digest hash_text(std::string_view algorithm, std::string_view text) {
  if (algorithm == Sha256::name) return digest_of<Sha256>(text);
  if (algorithm == Sha512::name) return digest_of<Sha512>(text);
  throw_error(errc::unsupported, "name a layer by", quoted(algorithm), "chain ids are sha256 or sha512");
}

std::vector<std::string> texts_of(const std::vector<Digest>& digests) {
  std::vector<std::string> texts;
  for (const Digest& digest : digests) texts.push_back(digest.to_string());
  return texts;
}

}  // namespace

Digest chain_id(const std::optional<Digest>& parent, const Digest& diff_id) {
  if (!parent) return diff_id;
  return hash_text(diff_id.algorithm(), parent->to_string() + " " + diff_id.to_string());
}

std::string to_json(const Layer& layer) {
  nlohmann::ordered_json json;
  json["id"] = layer.id.to_string();
  if (layer.parent) json["parent"] = layer.parent->to_string();
  json["diff_ids"] = texts_of(layer.diff_ids);
  json["size"] = layer.size;
  json["tar_size"] = layer.tar_size;
  json["entries"] = layer.entries;
  json["created"] = layer.created;
  json["author"] = layer.author;
  json["comment"] = layer.comment;
  json["media_type"] = layer.media_type;
  json["blob"] = layer.blob.to_string();
  json["blob_size"] = layer.blob_size;
  // Mostly each tree would be the same on any parent, and has its diff id as its key: with many layers, the half of it.
  if (layer.trees != layer.diff_ids) json["trees"] = texts_of(layer.trees);
  json["root_tree"] = layer.root_tree;
  // Author and comment are a caller's bytes: what isn't UTF-8 is replaced rather than refused.
  return json.dump(1, '\t', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Layer layer_from_json(std::string_view text) {
  const detail::Record record(text, "read the record of", "a layer");
  Layer layer;
  layer.id = record.digest("id");
  if (record.has("parent")) layer.parent = record.digest("parent");
  layer.diff_ids = record.digests("diff_ids");
  layer.size = record.number("size");
  layer.tar_size = record.number("tar_size");
  layer.entries = record.number("entries");
  layer.created = record.text("created");
  layer.author = record.text("author");
  layer.comment = record.text("comment");
  layer.media_type = record.text("media_type");
  layer.blob = record.digest("blob");
  layer.blob_size = record.number("blob_size");
  layer.trees = record.has("trees") ? record.digests("trees") : layer.diff_ids;
  const std::int64_t root_tree = record.integer("root_tree");
  const auto layers = layer.diff_ids.size();
  if (layers == 0 || layer.trees.size() != layers || root_tree < -1 || root_tree >= static_cast<std::int64_t>(layers))
    throw_error(errc::damaged, "read the record of", layer.id.to_string(),
                "its lists of diff ids and trees don't match");
  layer.root_tree = static_cast<int>(root_tree);
  return layer;
}

}  // namespace strata
