#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/kept_blob.hpp"
#include "store/mend.hpp"
#include "store/operations.hpp"
#include "store/restore_record.hpp"
#include "store/stages.hpp"
#include "store/translations.hpp"
#include "store/tree_users.hpp"
#include "store/verify.hpp"
#include "tree/directory.hpp"
#include "tree/recipe.hpp"

#include <algorithm>
#include <memory>
#include <set>

namespace strata::detail {

namespace {

using Kind = Damage::Kind;

constexpr const char* give_source = "repair it with the layer itself, its blob or its tar, as the source";

class Repair {
 public:
  Repair(const StoreCore& core, const Layer& layer, const RepairOptions& options)
      : core_(core), layer_(layer), options_(options), tree_path_(core.tree_path(layer.tree())) {
    result_.id = layer.id;
  }

  RepairResult run() {
    open_tree();
    Examination before = examine_now();
    Examination after;
    if (before.expected) {
      if (before.findings.empty()) return std::move(result_);
      mend(before);
      after = examine_now();
    }
    if (!after.expected || has_unrecorded(after)) {
      // Also where all contents have their checksums, and the tar is another nonetheless.
      rebuild();
      if (result_.rebuilt) open_tree();
      after = examine_now();
    }
    tell(before, after);
    return std::move(result_);
  }

 private:
  Examination examine_now() const {
    return examine(core_, layer_, tree_.get(), VerifyLevel::proving, options_.control);
  }

  /// Whether a file is bad of which only the tar as a whole can say what was in it.
  static bool has_unrecorded(const Examination& found) {
    return std::ranges::any_of(found.findings, [&](const Finding& finding) {
      return finding.node != ExpectedTree::none && found.expected->is_unrecorded(finding.node);
    });
  }

  /// With a lock against other repairs of the tree. Where the tree is missing, nothing stands in for it: whoever
  /// imports its layer would take that for the tree.
  void open_tree() {
    lock_.reset();
    tree_ = try_open_beneath(core_.root_descriptor(), tree_path_, O_RDONLY | O_DIRECTORY);
    if (!tree_) return;
    lock_ = Lock::attempt(tree_.get(), "lock", Lock::Kind::exclusive);
    if (!lock_)
      throw_error(errc::in_use, "repair", layer_.id.to_string(), "another repairs or translates its tree",
                  "wait until that has ended");
    const auto there = try_stat(core_.root_descriptor(), tree_path_);
    if (!core_.find(layer_.id) || !there || there->inode != stat_of(tree_.get()).inode)
      throw_error(errc::not_found, "repair", layer_.id.to_string(), "it was removed or replaced meanwhile");
  }

  /// The layer's blob, if it is kept; none: it isn't.
  std::optional<FileSource> kept_blob() const {
    FileDescriptor fd = open_kept_blob(core_, layer_.blob);
    if (!fd) return std::nullopt;
    return FileSource(std::move(fd), "the kept blob");
  }

  // Mending

  /// Which contents have to be made again.
  static std::set<std::uint32_t> contents_of(const Examination& found) {
    const ExpectedTree& expected = *found.expected;
    std::set<std::uint32_t> contents;
    for (const Finding& finding : found.findings) {
      if (finding.content != ExpectedTree::none) contents.insert(finding.content);
      if (finding.node == ExpectedTree::none || expected[finding.node].type != TarType::file) continue;
      switch (finding.damage.kind) {
        case Kind::content:
        case Kind::size:
        case Kind::missing:
        case Kind::type:
        case Kind::link:
        case Kind::unreadable:
          if (expected.first_name(finding.node) != finding.node) break;  // its first name says what it is
          if (const auto content = expected[expected.first_name(finding.node)].content; content != ExpectedTree::none)
            contents.insert(content);
          break;
        default:
          break;
      }
    }
    return contents;
  }

  void mend(const Examination& found) {
    const Draft draft(core_);
    // They have the same files, and would keep those that are bad.
    std::vector<LockedContainer> unmounted;
    if (!translations_of(core_, layer_.tree()).empty())
      unmounted = unmounted_containers(core_, layer_.tree(), Users::translated);
    take_made_of(core_, draft, layer_.tree());
    make_directory(draft.descriptor(), "new");
    make_directory(draft.descriptor(), "contents");
    const FileDescriptor contents = open_beneath(draft.descriptor(), "contents", O_RDONLY | O_DIRECTORY);
    Replacements replacements(core_, layer_, tree_.get(), *found.expected, contents.get(), options_.control);
    for (const std::uint32_t content : contents_of(found)) replacements.want(content);
    gather(replacements);
    unmended_ = mend_tree(core_, tree_.get(), *found.expected, found.findings, replacements, draft);
  }

  void gather(Replacements& replacements) {
    replacements.take_from_trees();
    if (!replacements.has_all_of_tar())
      if (auto blob = kept_blob()) take_from(replacements, *blob);
    if (!replacements.has_all_of_tar() && options_.source != nullptr) {
      replacements.take_from_layer(*options_.source);
      used_source_ = true;
    }
    if (used_blob_ || used_source_) return;
    if (!replacements.has_all_of_tar())
      why_no_content_ = std::string("the store has not all that is missing; ") + give_source;
    else if (!replacements.is_proven())
      why_no_content_ = std::string("what other trees have of this checksum is something else; ") + give_source;
    if (!why_no_content_.empty()) replacements.drop_candidates();
  }

  void take_from(Replacements& replacements, FileSource& blob) {
    try {
      replacements.take_from_layer(blob);
      used_blob_ = true;
    } catch (const Error& error) {
      if (error.code() == errc::cancelled) throw;
      replacements.take_from_trees();  // which reading the blob has put aside
    }
  }

  // Making anew

  /// What is wrong may be that the tree doesn't say what it is, while it still gives the tar.
  void rebuild() {
    std::string why;
    const auto attempt = [&](ByteSource& source) {
      if (result_.rebuilt) return;
      try {
        rebuild_tree(core_, layer_, source, options_);
        result_.rebuilt = true;
      } catch (const Error& error) {
        if (error.code() == errc::cancelled || error.code() == errc::in_use) throw;
        why = error.what();
      }
    };
    try {
      if (tree_) {
        RecipeSource own(tree_.get());
        attempt(own);
      }
    } catch (const Error& error) {
      if (error.code() == errc::cancelled || error.code() == errc::in_use) throw;
    }
    if (auto blob = result_.rebuilt ? std::nullopt : kept_blob()) attempt(*blob);
    if (!result_.rebuilt && options_.source != nullptr && !used_source_)
      return rebuild_tree(core_, layer_, *options_.source, options_), void(result_.rebuilt = true);
    why_no_content_ = why.empty() ? give_source : why + "; " + give_source;
  }

  void tell(const Examination& before, const Examination& after) {
    for (const Finding& finding : before.findings) {
      const bool is_left = std::ranges::any_of(after.findings, [&](const Finding& left) {
        return left.damage.kind == finding.damage.kind && left.damage.path == finding.damage.path;
      });
      if (!is_left) result_.mended.push_back(finding.damage);
    }
    for (const Finding& finding : after.findings) {
      Damage left = finding.damage;
      if (const auto why = unmended_.find(left.path); why != unmended_.end()) left.what += ": " + why->second;
      const bool needs_source = left.kind == Kind::content || left.kind == Kind::size || left.kind == Kind::missing ||
                                left.kind == Kind::record || left.kind == Kind::type;
      if (needs_source && !why_no_content_.empty()) left.what += ": " + why_no_content_;
      result_.left.push_back(std::move(left));
    }
  }

  const StoreCore& core_;
  const Layer& layer_;
  const RepairOptions& options_;
  const std::string tree_path_;
  FileDescriptor tree_;
  std::optional<Lock> lock_;
  RepairResult result_;
  Unmended unmended_;
  bool used_blob_ = false;
  bool used_source_ = false;
  std::string why_no_content_;
};

}  // namespace

RepairResult repair_layer(const StoreCore& core, const Digest& id, const RepairOptions& options) {
  const bool restores = has_unreadable_record(core, id);
  const Layer layer = restores ? restore_record(core, id) : core.get(id);
  sweep_drafts(core);
  const Draft keeper(core);
  keeper.need(id);  // it isn't removed meanwhile
  const RepairOptions watched{options.source, options.owners, Stages(options.control).next()};
  RepairResult result = Repair(core, layer, watched).run();
  if (restores) {
    const Damage record{Kind::record, "", "the record of the layer could not be read"};
    result.mended.insert(result.mended.begin(), record);
  }
  return result;
}

}  // namespace strata::detail
