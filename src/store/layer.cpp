#include <strata/layer.hpp>

#include <strata/error.hpp>
#include <strata/hash.hpp>

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

std::vector<Digest> digests_of(const nlohmann::json& texts) {
  std::vector<Digest> digests;
  for (const auto& text : texts) digests.push_back(Digest::parse(text.get<std::string>()));
  return digests;
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
  json["trees"] = texts_of(layer.trees);
  json["root_tree"] = layer.root_tree;
  // Author and comment are a caller's bytes: what isn't UTF-8 is replaced rather than refused.
  return json.dump(1, '\t', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Layer layer_from_json(std::string_view text) {
  const char* member = "";
  try {
    const auto json = nlohmann::json::parse(text);
    const auto at = [&](const char* name) { return json.at(member = name); };
    Layer layer;
    layer.id = Digest::parse(at("id").get<std::string>());
    if (json.contains("parent")) layer.parent = Digest::parse(at("parent").get<std::string>());
    layer.diff_ids = digests_of(at("diff_ids"));
    layer.size = at("size").get<std::uint64_t>();
    layer.tar_size = at("tar_size").get<std::uint64_t>();
    layer.entries = at("entries").get<std::uint64_t>();
    layer.created = at("created").get<std::string>();
    layer.author = at("author").get<std::string>();
    layer.comment = at("comment").get<std::string>();
    layer.media_type = at("media_type").get<std::string>();
    layer.blob = Digest::parse(at("blob").get<std::string>());
    layer.blob_size = at("blob_size").get<std::uint64_t>();
    layer.trees = digests_of(at("trees"));
    layer.root_tree = at("root_tree").get<int>();
    const auto layers = layer.diff_ids.size();
    if (layers == 0 || layer.trees.size() != layers || layer.root_tree < -1 ||
        layer.root_tree >= static_cast<int>(layers))
      throw_error(errc::damaged, "read the record of", layer.id.to_string(),
                  "its lists of diff ids and trees don't match");
    return layer;
  } catch (const nlohmann::json::exception& error) {
    throw_error(errc::damaged, "read the record of", "a layer",
                std::string("member '") + member + "': " + error.what());
  }
}

}  // namespace strata
