#include "store/tree_record.hpp"

#include "base/files.hpp"
#include "base/record.hpp"
#include "store/core.hpp"

#include <nlohmann/json.hpp>

namespace strata::detail {

std::string to_json(const TreeRecord& record) {
  const nlohmann::ordered_json json = {
      {"diff_id", record.diff_id.to_string()}, {"size", record.size},
      {"tar_size", record.tar_size},           {"entries", record.entries},
      {"root_listed", record.root_listed},     {"self_contained", record.self_contained},
      {"as_listed", record.as_listed},
  };
  return json.dump(1, '\t') + "\n";
}

TreeRecord tree_record_from_json(std::string_view text) {
  const Record record(text, "read the record of", "a tree");
  return {record.digest("diff_id"), record.number("size"),      record.number("tar_size"),
          record.number("entries"), record.flag("root_listed"), record.flag("self_contained"),
          record.flag("as_listed")};
}

std::optional<TreeRecord> find_tree_record(int tree) {
  const auto text = read_small_file(tree, "tree.json");
  if (!text) return std::nullopt;
  return tree_record_from_json(*text);
}

Digest resolved_tree_key(const StoreCore& core, const std::optional<Digest>& parent, const Digest& diff_id) {
  const std::string text = "tree of " + diff_id.to_string() + " on " + (parent ? parent->to_string() : "nothing");
  AnyHash hash = core.hash().start();
  hash.update(std::as_bytes(std::span(text.data(), text.size())));
  return hash.finish();
}

}  // namespace strata::detail
