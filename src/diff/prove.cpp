// A layer is applied in union form, to a scratch directory on top of what it was made on: nothing below is copied or
// touched. What the stack shows then must be what the changed tree shows.
#include <strata/diff_writer.hpp>
#include <strata/error.hpp>

#include "base/files.hpp"
#include "diff/changes.hpp"
#include "diff/compare.hpp"
#include "diff/latest_time.hpp"
#include "diff/same_views.hpp"
#include "store/container_views.hpp"
#include "store/draft.hpp"
#include "store/layer_extract.hpp"

namespace strata {
namespace {

using namespace detail;
using Paths = std::vector<boost::filesystem::path>;

/// A directory that is gone when this is.
class Scratch {
 public:
  explicit Scratch(const boost::filesystem::path& place)
      : place_(open_directory(place)), name_(".strata-prove." + random_name()), path_(place / name_) {
    make_directory(place_.get(), name_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    try {
      remove_tree(place_.get(), name_);
    } catch (const std::exception&) {
      // It is named for what it is.
    }
  }
  const boost::filesystem::path& path() const { return path_; }

 private:
  FileDescriptor place_;
  std::string name_;
  boost::filesystem::path path_;
};

/// What a layer is to be proved against.
struct Claim {
  const MergedView& lower;
  Paths lowers;
  std::optional<UnionForm> lower_form;
  const MergedView& changed;
  UnionForm form;  ///< that it is applied in
  std::optional<RootAttributes> lower_root;
  std::map<std::string, OutsideName> instead;
};

RootAttributes root_of(const MergedView& view) {
  const MergedView::Entry root = view.root().value();
  return {root.metadata, layer_xattrs({view, root}), false};
}

void prove_layer(const HashPolicy& hash, const CompressionPolicy& codec, ByteSource& layer, Claim claim,
                 const boost::filesystem::path& scratch, const DiffOptions& options) {
  const FileDescriptor applied = open_directory(scratch);
  SameViews same{std::move(claim.instead), {}, latest_time(options), options.control.stop};
  RootAttributes root;
  with_zero_umask([&](bool umask_is_zero) {
    const std::vector<CompressionPolicy> codecs = {CompressionPolicy::of<Gzip>(), CompressionPolicy::of<Zstd>(), codec,
                                                   CompressionPolicy::of<Uncompressed>()};
    LayerStream stream(layer, hash, codecs, options.control, Budget::none());  // it is no stranger's
    Report report;
    BuilderOptions builder_options;
    builder_options.form = claim.form;
    builder_options.ids = options.ids;
    builder_options.umask_is_zero = umask_is_zero;
    TreeBuilder builder(applied.get(), -1, builder_options, report);
    extract_layer(stream, builder, nullptr, {.budget = Budget::none()}, options.control, report);
    builder.resolve(claim.lower);
    builder.seal(TreeBuilder::Marks::written);
    same.missing.insert(builder.missing().begin(), builder.missing().end());
    // The root that isn't listed is the one below.
    if (builder.root_listed())
      root = root_of(MergedView({scratch}, MergedView::marks_of(claim.form)));
    else if (claim.lower_root)
      root = *claim.lower_root;
    else if (claim.lower.root())
      root = root_of(claim.lower);
    else
      throw_unproved("./", "it isn't there");
  });
  const RootAttributes expected = root_of(claim.changed);
  std::erase_if(root.xattrs, [](const auto& attribute) { return !is_layer_xattr(attribute.first); });
  if (root.any_time) root.metadata.mtime = expected.metadata.mtime;
  if (std::string differs = same.difference(expected.metadata, expected.xattrs, root.metadata, root.xattrs);
      !differs.empty())
    throw_unproved("./", differs);
  same.check(claim.changed, stacked(scratch, claim.form, claim.lowers, claim.lower_form));
}

void prove_stack(const HashPolicy& hash, const CompressionPolicy& codec, ByteSource& layer, const MergedView& changed,
                 const Paths& lowers, std::optional<UnionForm> lower_form, const boost::filesystem::path& place,
                 const DiffOptions& options) {
  const MergedView lower = changed.below();
  const Scratch proof(place);
  const UnionForm form = best_union_form(open_directory(proof.path()).get());
  prove_layer(
      hash, codec, layer,
      {lower, lowers, lower_form, changed, form, {}, outside_names(changed, lower, MergedView(), options.control.stop)},
      proof.path(), options);
}

}  // namespace

void DiffWriterBase::prove(const LayerStoreBase& store, const Container& container, ByteSource& layer,
                           const DiffOptions& options) const {
  const StoreCore& core = *store.core();
  const Layer below = core.get(container.layer);
  const ContainerViews views(core, container, below);
  const auto& index_path = views.index();
  const MergedView index = index_path ? MergedView({*index_path}) : MergedView();
  const Draft draft(core);
  make_directory(draft.descriptor(), "proof");
  std::map<std::string, OutsideName> instead;
  if (!views.whole()) instead = outside_names(views.changed(), views.lower(), index, options.control.stop);
  prove_layer(hash_, codec_, layer,
              {views.lower(), core.lowers(below), core.form(), views.changed(), core.form(), views.lower_root(),
               std::move(instead)},
              draft.path() / "proof", options);
}

void DiffWriterBase::prove_upper(const boost::filesystem::path& upper, const Paths& lowers, ByteSource& layer,
                                 const boost::filesystem::path& scratch, const DiffOptions& options) const {
  prove_stack(hash_, codec_, layer, stacked(upper, {}, lowers, {}), lowers, {}, scratch, options);
}

void DiffWriterBase::prove_upper(const boost::filesystem::path& upper, UnionForm form, const Paths& lowers,
                                 UnionForm lower_form, ByteSource& layer, const boost::filesystem::path& scratch,
                                 const DiffOptions& options) const {
  prove_stack(hash_, codec_, layer, stacked(upper, form, lowers, lower_form), lowers, lower_form, scratch, options);
}

void DiffWriterBase::prove_trees(const boost::filesystem::path& older, const boost::filesystem::path& newer,
                                 ByteSource& layer, const boost::filesystem::path& scratch,
                                 const DiffOptions& options) const {
  const MergedView before({older}, MergedView::Marks::none), after({newer}, MergedView::Marks::none);
  const Scratch proof(scratch);
  const UnionForm form = best_union_form(open_directory(proof.path()).get());
  prove_layer(hash_, codec_, layer, {before, {older}, form, after, form, {}, {}}, proof.path(), options);
}

}  // namespace strata
