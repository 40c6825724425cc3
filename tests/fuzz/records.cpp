// The records of a store, and the digests in them: each is damaged, or a value that is the same after it was written
// and read again.
#include "fuzz/fuzz.hpp"

#include <strata/container.hpp>
#include <strata/layer.hpp>

#include "store/lease.hpp"
#include "store/tree_record.hpp"

#include <optional>

using namespace strata;
using namespace strata::detail;
using namespace strata::test;

namespace {

const boost::filesystem::path directory = "/store/containers/web";

bool same(const Layer& a, const Layer& b) {
  return a.id == b.id && a.parent == b.parent && a.diff_ids == b.diff_ids && a.size == b.size &&
         a.tar_size == b.tar_size && a.entries == b.entries && a.created == b.created && a.author == b.author &&
         a.comment == b.comment && a.media_type == b.media_type && a.blob == b.blob && a.blob_size == b.blob_size &&
         a.trees == b.trees && a.root_tree == b.root_tree;
}

bool same(const Container& a, const Container& b) {
  return a.name == b.name && a.layer == b.layer && a.read_only == b.read_only && a.created == b.created &&
         a.backend == b.backend && a.image == b.image && a.options.spelled() == b.options.spelled() &&
         a.directory == b.directory && a.target == b.target;
}

bool same(const TreeRecord& a, const TreeRecord& b) {
  return a.diff_id == b.diff_id && a.size == b.size && a.tar_size == b.tar_size && a.entries == b.entries &&
         a.root_listed == b.root_listed && a.self_contained == b.self_contained && a.as_listed == b.as_listed;
}

bool same(const LeaseRecord& a, const LeaseRecord& b) {
  return a.created == b.created && a.expires == b.expires && a.survives == b.survives;
}

/// nullopt: refused.
template <class Parse>
auto check(std::string_view text, Parse parse) -> std::optional<decltype(parse(text))> {
  std::optional<decltype(parse(text))> value;
  if (!refusal_of({errc::damaged}, [&] { value = parse(text); }).empty()) return std::nullopt;
  const std::string written = to_json(*value);
  const auto again = parse(std::string_view(written));
  require(same(*value, again), written);
  require(to_json(again) == written, written);
  return value;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto layer = check(text, layer_from_json)) {
    require(!layer->diff_ids.empty() && layer->trees.size() == layer->diff_ids.size());
    require(layer->root_tree >= -1 && layer->root_tree < static_cast<int>(layer->trees.size()));
    require(!layer->id.empty() && !layer->blob.empty());
  }
  if (const auto container = check(text, [](std::string_view t) { return container_from_json(t, directory); })) {
    check_container_name(container->name);
    require(container->target.native().find('\0') == std::string::npos, "a target with a NUL");
  }
  check(text, tree_record_from_json);
  check(text, lease_record_from_json);

  const auto digest = Digest::try_parse(text);
  std::optional<Digest> parsed;
  refusal_of({errc::bad_argument}, [&] { parsed = Digest::parse(text); });
  require(digest == parsed);
  if (digest) require(digest->to_string() == text);
  return 0;
}
