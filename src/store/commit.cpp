#include <strata/error.hpp>

#include "base/files.hpp"
#include "store/container_views.hpp"
#include "store/layer_draft.hpp"
#include "store/layer_extract.hpp"
#include "store/operations.hpp"
#include "store/translations.hpp"

namespace strata::detail {

namespace {

/// Takes the changes of a container and makes three things of them in one pass: the layer tar (which is only digested),
/// its recipe, and its tree.
class CommitSink final : public ChangeSink {
 public:
  CommitSink(TreeBuilder& builder, RecipeWriter& recipe, AnyHash hash)
      : builder_(builder), recipe_(recipe), out_(recipe, std::move(hash)), tar_(out_) {}

  void add(const TarEntry& entry) override {
    check_complete();
    tar_.add(entry);
    if (!builder_.add(entry)) return;
    recipe_.begin_content(builder_.content_ordinal(), builder_.content_path(), entry.size, {});
    out_.content_left = entry.size;
  }
  void content(std::span<const std::byte> bytes) override {
    builder_.write(bytes);
    tar_.content(bytes);
    if (out_.content_left == 0) builder_.close();
  }
  void zeros(std::uint64_t size) override {
    static constexpr std::byte block[64U << 10]{};
    builder_.hole(size);
    for (std::uint64_t n; size != 0; size -= n) {
      n = std::min<std::uint64_t>(size, sizeof block);
      tar_.content(std::span(block).first(static_cast<std::size_t>(n)));
    }
    if (out_.content_left == 0) builder_.close();
  }
  Digest finish() {
    check_complete();
    tar_.finish();
    builder_.finish();
    recipe_.finish();
    return out_.hash.finish();
  }
  std::uint64_t tar_size() const { return tar_.offset(); }

 private:
  /// Where the tar goes: the writer pads a file as soon as its content is complete, so contents are told apart by their
  /// size.
  struct Output final : ByteSink {
    Output(RecipeWriter& writer, AnyHash running) : recipe(writer), hash(std::move(running)) {}
    void write(std::span<const std::byte> bytes) override {
      hash.update(bytes);
      if (content_left != 0) {
        const auto content = bytes.first(static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), content_left)));
        recipe.content(content);
        content_left -= content.size();
        bytes = bytes.subspan(content.size());
        if (content_left == 0) recipe.end_content();
      }
      if (!bytes.empty()) recipe.literal(bytes);
    }
    RecipeWriter& recipe;
    AnyHash hash;
    std::uint64_t content_left = 0;
  };

  void check_complete() const {
    if (out_.content_left != 0)
      throw_error(errc::damaged, "commit", quoted(builder_.content_path()), "it changed while it was read");
  }

  TreeBuilder& builder_;
  RecipeWriter& recipe_;
  Output out_;
  TarWriter tar_;
};

}  // namespace

ImportedLayer commit_container(const StoreCore& core, const Container& container, const CommitOptions& options) {
  sweep_drafts(core);
  if (container.read_only)
    throw_error(errc::refused, "commit", quoted(container.name), "the container is read-only: it has no changes");
  ImportedLayer result;
  const Layer parent = core.get(container.layer);
  LayerDraft draft(core, Conformance::compat, Owners::keep, Budget::none(), result.report);
  draft.keep_by(options.lease, options.tag);
  draft.need(parent.id);  // the container may go meanwhile
  Layer& layer = draft.layer();
  layer.created = options.created.empty() ? now_rfc3339() : options.created;
  layer.author = options.author;
  layer.comment = options.comment;
  layer.media_type = Uncompressed::media_type;
  with_zero_umask([&](bool umask_is_zero) {
    draft.open(umask_is_zero);
    const ContainerViews views(core, container, parent);
    ChangeOptions change;
    change.latest_time = options.latest_time;
    change.control = options.control;
    CommitSink sink(draft.builder(), draft.recipe(), core.hash().start());
    views.tell(sink, change, result.report);
    const Digest diff_id = sink.finish();
    layer.tar_size = layer.blob_size = sink.tar_size();
    layer.blob = diff_id;
    draft.settle(parent, core.lowers(parent), diff_id, options.control);
    LayerDraft* const one[] = {&draft};
    LayerDraft::place(core, one);
    result.existed = draft.existed();
  });
  static_cast<Layer&>(result) = core.get(layer.id);
  return result;
}

}  // namespace strata::detail
