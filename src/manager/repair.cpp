#include <strata/error.hpp>
#include <strata/layer_manager.hpp>

#include "base/files.hpp"
#include "manager/pull.hpp"
#include "store/draft.hpp"
#include "store/images.hpp"
#include "store/kept_blob.hpp"
#include "store/operations.hpp"
#include "store/stages.hpp"
#include "transport/checked_source.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace strata {

namespace {

/// The blob of a layer, once more: as it is kept, if it may be taken so, else of a source. Nothing is asked of that
/// before it is read.
class BlobAgain final : public ByteSource {
 public:
  BlobAgain(const detail::StoreCore& core, bool as_kept, AnySource* source, const Descriptor& blob,
            const std::stop_token& stop)
      : core_(core), as_kept_(as_kept), source_(source), blob_(blob), control_{.observer = {}, .stop = stop} {}

  std::size_t read(std::span<std::byte> into) override {
    if (!checked_) open();
    return checked_->read(into);
  }
  std::optional<std::uint64_t> size() const override { return blob_.size; }
  std::string name() const override { return "layer " + blob_.digest.to_string(); }

 private:
  void open() {
    FileDescriptor kept;
    if (as_kept_) kept = detail::open_kept_blob(core_, blob_.digest);
    if (kept)
      from_ = std::make_unique<FileSource>(std::move(kept), "the kept blob " + blob_.digest.to_string());
    else if (source_ != nullptr)
      from_ = source_->open(blob_, 0, control_.stop);
    else
      throw_error(errc::not_found, "read", name(), "its kept blob was removed meanwhile");
    checked_.emplace(*from_, blob_, control_);
  }

  const detail::StoreCore& core_;
  const bool as_kept_;
  AnySource* const source_;
  const Descriptor& blob_;
  const Control control_;
  std::unique_ptr<ByteSource> from_;
  std::optional<detail::CheckedSource> checked_;
};

/// Whether it says that what a source gave is no good, or that it has nothing; not that it doesn't answer.
bool is_about_bytes(const Error& error) {
  for (const errc code : {errc::not_found, errc::digest_mismatch, errc::bad_archive, errc::refused,
                          errc::limit_exceeded, errc::unsupported, errc::damaged})
    if (error.code() == code) return true;
  return false;
}

class ImageRepair {
 public:
  ImageRepair(LayerStoreBase& store, const Digest& image, const detail::ImageDocuments& documents, const Lease& lease,
              const ImageRepairOptions& options)
      : store_(store),
        core_(*store.core()),
        lease_(lease),
        options_(options),
        stages_(options.control),
        manifest_(ImageManifest::parse(documents.manifest)),
        config_(ImageConfig::parse(documents.config)),
        ids_(detail::chain_ids(config_.diff_ids)) {
    result_.image = image;
  }

  ImageRepairResult run() {
    keep_layers();
    std::set<Digest> seen;
    for (const Descriptor& blob : manifest_.layers)  // first, since layers are mended of them
      if (seen.insert(blob.digest).second) mend_blob(blob);
    const std::vector<HistoryEntry> history = config_.history_of_layers();
    for (std::size_t i = 0; i < ids_.size(); ++i) result_.layers.push_back(mend_layer(i, history[i]));
    return std::move(result_);
  }

 private:
  /// Those above one that is gone as well.
  void keep_layers() const {
    for (const Digest& layer : ids_) {
      try {
        lease_.add(layer);
      } catch (const Error& error) {
        if (error.code() != errc::not_found && error.code() != errc::damaged) throw;
      }
    }
  }

  void mend_blob(const Descriptor& blob) {
    using State = detail::KeptBlob::State;
    const detail::KeptBlob kept = detail::check_kept_blob(core_, blob, {.control = stages_.next()});
    if (kept.state == State::absent || kept.state == State::right) return;
    std::string why;
    bool to_remove = kept.state == State::wrong;  // only of what was read to its end is it known that it is of no use
    try {
      if (options_.source != nullptr && kept.state != State::misnamed) return replace(blob, kept);
    } catch (const Error& error) {
      if (!is_about_bytes(error)) throw;
      why = "; " + std::string(error.what());
      to_remove = to_remove && error.code() == errc::digest_mismatch;  // a login may be all that is missing
    }
    if (to_remove && !take_away(blob, kept)) return mend_blob(blob);  // another has mended it meanwhile
    if (!to_remove) unusable_.insert(blob.digest);
    (to_remove ? result_.removed : result_.left).push_back({blob.digest, kept.what + why});
  }

  void replace(const Descriptor& blob, const detail::KeptBlob& kept) {
    const detail::Draft draft(core_);
    FileDescriptor fd(sys::openat(draft.descriptor(), "blob", O_WRONLY | O_CREAT | O_EXCL, 0600));
    if (!fd) throw_errno(errno, "create", "the blob " + blob.digest.to_string());
    FileSink file(std::move(fd), "the blob " + blob.digest.to_string());
    const Control control = stages_.next();
    const auto from = options_.source->open(blob, 0, control.stop);
    detail::CheckedSource checked(*from, blob, control);
    copy(checked, file);
    draft.sync();
    const auto references = core_.lock(detail::Lock::Kind::shared);
    if (!kept.file) draft.take(core_.blob_path(blob.digest), "no file");
    detail::make_blob_rooms(core_, blob.digest);
    draft.replace("blob", core_.blob_path(blob.digest));
    detail::sync_blob_room(core_, blob.digest);
    result_.replaced.push_back(blob.digest);
  }

  /// False: another is there by now.
  bool take_away(const Descriptor& blob, const detail::KeptBlob& kept) const {
    const std::string path = core_.blob_path(blob.digest);
    const detail::Draft draft(core_);
    const auto alone = core_.lock(detail::Lock::Kind::exclusive);
    if (kept.file && !core_.is_at(path, kept.file.get())) return false;
    draft.take(path, "blob");
    detail::sync_blob_room(core_, blob.digest);
    return true;
  }

  RepairResult mend_layer(std::size_t i, const HistoryEntry& entry) {
    const Digest& id = ids_[i];
    const Descriptor& blob = manifest_.layers[i];
    const bool as_kept = !unusable_.contains(blob.digest) && detail::is_blob_kept(core_, blob);
    BlobAgain again(core_, as_kept, options_.source, blob, options_.control.stop);
    ByteSource* const source = as_kept || options_.source != nullptr ? &again : nullptr;
    try {
      if (core_.has(id)) {
        try {
          return store_.repair(id, {.source = source, .owners = options_.owners, .control = stages_.next()});
        } catch (const Error& error) {
          // Neither its record can be read nor its tree say what was in that.
          if (error.code() != errc::damaged || source == nullptr) throw;
        }
      }
      if (source == nullptr) return {.id = id, .mended = {}, .left = {gone("the layer isn't there")}};
      import(i, entry, as_kept);
      return {.id = id, .mended = {gone("the layer wasn't there")}, .left = {}, .rebuilt = true};
    } catch (const Error& error) {
      if (!is_about_bytes(error) && error.code() != errc::in_use) throw;
      return {.id = id, .mended = {}, .left = {gone(error.what())}};
    }
  }

  static Damage gone(std::string what) { return {.kind = Damage::Kind::record, .path = {}, .what = std::move(what)}; }

  void import(std::size_t i, const HistoryEntry& entry, bool as_kept) {
    ImportOptions layer = detail::import_options(config_, entry, manifest_.layers[i].digest, config_.diff_ids[i]);
    if (i != 0) layer.parent = ids_[i - 1];
    layer.lease = &lease_;
    layer.owners = options_.owners;
    layer.budget = options_.budget;
    layer.control = stages_.next();
    BlobAgain source(core_, as_kept, options_.source, manifest_.layers[i], options_.control.stop);
    (void)store_.import(source, layer);
  }

  LayerStoreBase& store_;
  const detail::StoreCore& core_;
  const Lease& lease_;
  const ImageRepairOptions& options_;
  const detail::Stages stages_;
  const ImageManifest manifest_;
  const ImageConfig config_;
  const std::vector<Digest> ids_;
  std::set<Digest> unusable_;  ///< blobs that aren't to be read as they are kept
  ImageRepairResult result_;
};

}  // namespace

bool ImageRepairResult::ok() const noexcept {
  return record.empty() && removed.empty() && left.empty() && std::ranges::all_of(layers, &RepairResult::ok);
}

ImageRepairResult LayerManagerBase::repair(const Digest& image, const ImageRepairOptions& options) {
  const detail::StoreCore& core = *store_.core();
  const auto fault = detail::fault_of_image(core, image);
  if (!fault) throw_error(errc::not_found, "repair the image", image.to_string(), "there is none of this digest");
  const detail::ImageDocuments documents = detail::read_documents(core, image);
  const Lease lease = store_.lease();
  ImageRepairResult result = ImageRepair(store_, image, documents, lease, options).run();
  if (fault->empty()) return result;
  try {
    detail::mend_image_record(core, image, documents);
    result.recorded = true;
  } catch (const Error& error) {
    if (error.code() != errc::not_found) throw;  // a layer isn't there, so that there can't be a record
    result.record = *fault;
  }
  return result;
}

}  // namespace strata
