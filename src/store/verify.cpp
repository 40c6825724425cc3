#include "store/verify.hpp"

#include <strata/error.hpp>

#include "base/resources.hpp"
#include "store/operations.hpp"
#include "stream/read_ahead.hpp"
#include "tree/directory.hpp"
#include "tree/recipe.hpp"

#include <algorithm>

namespace strata {

std::string_view to_string(Damage::Kind kind) noexcept {
  constexpr std::string_view names[] = {"content", "size",  "missing", "added",     "type",
                                        "mode",    "owner", "time",    "attribute", "target",
                                        "device",  "link",  "opaque",  "record",    "unreadable"};
  return names[static_cast<std::size_t>(kind)];
}

namespace detail {

namespace {

Finding bad_record(std::string what) { return {{Damage::Kind::record, "", std::move(what)}}; }

/// Whether the tar that a tree gives can't be right, whatever else is.
bool is_in_tar(const Finding& finding, const ExpectedTree& expected) {
  if (finding.content != ExpectedTree::none) return true;
  if (finding.node == ExpectedTree::none || expected[finding.node].type != TarType::file) return false;
  switch (finding.damage.kind) {
    case Damage::Kind::content:
    case Damage::Kind::size:
    case Damage::Kind::missing:
    case Damage::Kind::type:
    case Damage::Kind::unreadable:
      return true;
    default:
      return false;
  }
}

/// For one stage of a call: its counters go on from those of the stage before.
Control behind(const Control& control, const Progress& before, std::uint64_t total) {
  if (!control.observer) return control;
  return {[observer = control.observer, before, total](Progress now) {
            now.bytes += before.bytes;
            now.entries += before.entries;
            now.total_bytes = total;
            observer(now);
          },
          control.stop};
}

}  // namespace

Digest rebuilt_diff_id(const StoreCore& core, int tree, int replacements, const Control& control) {
  RecipeSource recipe(tree, {}, replacements);
  AnyHash hash = core.hash().start();
  Progress progress{.phase = Progress::Phase::verifying};
  ReadAhead tar(recipe, [&hash](std::span<const std::byte> bytes) { hash.update(bytes); });
  for (Block block = tar.next_block(); !block.bytes.empty(); block = tar.next_block()) {
    if (control.stop.stop_requested()) throw_error(errc::cancelled, "verify", "the layer");
    progress.bytes = progress.tar_bytes += block.bytes.size();
    if (control.observer) control.observer(progress);
  }
  return hash.finish();
}

Examination examine(const StoreCore& core, const Layer& layer, int tree, VerifyLevel level, const Control& control) {
  Examination result;
  if (tree < 0) {
    result.findings.push_back(bad_record("its tree is missing"));
    return result;
  }
  try {
    auto expected = std::make_unique<const ExpectedTree>(tree, layer, core.form(), control.stop);
    Progress checked{.entries = expected->size()};
    for (const ExpectedTree::Content& content : expected->contents())
      if (level != VerifyLevel::quick) checked.bytes += content.size;
    const std::uint64_t total = checked.bytes + (level == VerifyLevel::proving ? layer.tar_size : 0);
    result.findings = check_tree(tree, *expected, core.form(), level, behind(control, {}, total));
    // Where a content is bad, the tar is, and says no more about what is wrong.
    const bool may_give_tar =
        std::ranges::none_of(result.findings, [&](const Finding& finding) { return is_in_tar(finding, *expected); });
    if (level == VerifyLevel::proving && may_give_tar)
      if (const Digest found = rebuilt_diff_id(core, tree, -1, behind(control, checked, total));
          found != layer.diff_id()) {
        result.findings.push_back(bad_record("the layer tar that the tree gives has the digest " + found.to_string() +
                                             " instead of " + layer.diff_id().to_string()));
        return result;
      }
    result.expected = std::move(expected);
  } catch (const Error& error) {
    if (error.code() == errc::cancelled || is_shortage(error.code())) throw;
    result.findings.push_back(bad_record(error.what()));
  }
  return result;
}

VerifyResult verify_layer(const StoreCore& core, const Digest& id, const VerifyOptions& options) {
  const Layer layer = core.get(id);
  const FileDescriptor tree =
      try_open_beneath(core.root_descriptor(), core.tree_path(layer.tree()), O_PATH | O_DIRECTORY);
  VerifyResult result{id, {}};
  for (Finding& finding : examine(core, layer, tree.get(), options.level, options.control).findings)
    result.damages.push_back(std::move(finding.damage));
  return result;
}

}  // namespace detail
}  // namespace strata
