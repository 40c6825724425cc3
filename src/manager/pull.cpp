#include "manager/pull.hpp"

#include <strata/error.hpp>

#include "base/files.hpp"
#include "manager/pull_progress.hpp"
#include "manager/transfer.hpp"
#include "store/images.hpp"
#include "store/kept_blob.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

namespace strata::detail {

namespace {

/// What an image says of itself.
struct Documents {
  Document manifest, config;
  std::optional<Digest> index;
};

/// Of a local source, where nothing is to be kept: read where it lies.
class DirectSource final : public ByteSource {
 public:
  DirectSource(AnySource& source, Descriptor blob, ImageTeller& teller, std::stop_token stop)
      : source_(source), blob_(std::move(blob)), teller_(teller), stop_(std::move(stop)) {}

  std::size_t read(std::span<std::byte> into) override {
    if (!from_) from_ = source_.open(blob_, 0, stop_);
    const std::size_t n = from_->read(into);
    read_ += n;
    if (read_ > blob_.size)
      throw_error(errc::digest_mismatch, "accept", name(),
                  "it has more than the " + std::to_string(blob_.size) + " bytes that the manifest says");
    teller_.blob(blob_.digest, LayerProgress::Phase::transferring, read_);
    teller_.moved(n);
    return n;
  }
  std::optional<std::uint64_t> size() const override { return blob_.size; }
  std::string name() const override { return "layer " + blob_.digest.to_string() + " of " + source_.name(); }

 private:
  AnySource& source_;
  const Descriptor blob_;
  ImageTeller& teller_;
  const std::stop_token stop_;
  std::unique_ptr<ByteSource> from_;
  std::uint64_t read_ = 0;
};

/// Whether an error says that the bytes of a layer are no good, and not that they couldn't be had.
bool blames_bytes(const Error& error) {
  for (const errc code : {errc::digest_mismatch, errc::bad_archive, errc::refused, errc::limit_exceeded})
    if (error.code() == code) return true;
  return false;
}

class Pull {
 public:
  Pull(LayerStoreBase& store, AnySource& source, const std::string& name, const PullOptions& options,
       const Lease& lease, const std::function<void(std::uint64_t)>& make_room)
      : store_(store),
        core_(*store.core()),
        source_(source),
        name_(name),
        options_(options),
        stop_(options.control.stop),
        lease_(lease),
        make_room_(make_room) {}

  Image run() {
    if (!name_.empty()) check_tag_name(name_);
    read_documents();
    check();
    keep_what_is_there();
    check_size();
    make_room_(bytes_to_come());
    check_size();  // of what was removed for it, some may have been kept blobs of this image
    check_room();
    std::set<Digest> distrusted;
    while (!attempt(distrusted)) {
    }
    if (config_file_) config_file_->release();
    return ImageStore(store_).get(documents_.manifest.digest.to_string());
  }

 private:
  void read_documents() {
    Document top = source_.top(stop_);
    for (int depth = 0; is_index(top.media_type); ++depth) {
      if (depth == 4) throw_error(errc::bad_archive, "read", source_.name(), "its indexes name each other");
      if (!documents_.index) documents_.index = top.digest;
      const ImageIndex index = ImageIndex::parse(top);
      const Descriptor& chosen = index.choose(options_.platform ? *options_.platform : Platform::host());
      if (const auto record = find_stored(chosen.digest)) {
        top = image_manifest(core_, *record);
        break;
      }
      top = source_.document(chosen, stop_);
    }
    manifest_ = ImageManifest::parse(top);
    documents_.manifest = std::move(top);
    documents_.config = read_config();
    config_ = ImageConfig::parse(documents_.config);
  }

  /// The image, if it is there already, whole.
  std::optional<ImageRecord> find_stored(const Digest& manifest) const {
    try {
      auto record = find_image_record(core_, manifest);
      if (record) (void)image_manifest(core_, *record);
      return record;
    } catch (const Error& error) {
      if (error.code() != errc::damaged && error.code() != errc::not_found) throw;
      return std::nullopt;
    }
  }

  std::optional<Document> stored_config() const {
    try {
      const auto record = find_stored(documents_.manifest.digest);
      return record ? std::optional(image_config(core_, *record)) : std::nullopt;
    } catch (const Error& error) {
      if (error.code() != errc::damaged && error.code() != errc::not_found) throw;
      return std::nullopt;
    }
  }

  /// Whoever comes first fetches it; the others wait for that, and find it.
  Document read_config() {
    const Descriptor& wanted = manifest_.config;
    if (wanted.size > Document::max_size)
      throw_error(errc::limit_exceeded, "read the config " + wanted.digest.to_string() + " of", source_.name(),
                  "it is said to have " + std::to_string(wanted.size) + " bytes, and may have " +
                      std::to_string(Document::max_size));
    if (auto config = stored_config()) return *std::move(config);
    Download file = Download::open(core_, wanted, stop_);
    if (auto config = stored_config()) {
      file.release();
      return *std::move(config);
    }
    if (file.size() == wanted.size && wanted.size != 0) {
      std::string bytes(static_cast<std::size_t>(wanted.size), '\0');
      bytes.resize(file.read_at(0, std::as_writable_bytes(std::span(bytes))));
      try {
        Document config = Document::checked(std::move(bytes), wanted, source_.name());
        file.complete();  // whoever else waits for it
        config_file_.emplace(std::move(file));
        return config;
      } catch (const Error& error) {
        if (error.code() != errc::digest_mismatch) throw;
      }
    }
    if (file.size() != 0) {  // of a transfer that broke off
      file.drop();
      file = Download::open(core_, wanted, stop_);
    }
    Document config = source_.document(wanted, stop_);
    file.append(std::as_bytes(std::span(config.bytes.data(), config.bytes.size())));
    file.complete();
    config_file_.emplace(std::move(file));
    return config;
  }

  void check() {
    check_image(manifest_, config_);
    if (config_.diff_ids.empty())
      throw_error(errc::unsupported, "pull", source_.name(), "it has no layers, and a root filesystem needs one");
    const std::string_view hash = core_.hash().name;
    const auto check_algorithm = [&](const Digest& digest) {
      if (digest.algorithm() != hash)
        throw_error(
            errc::unsupported, "pull", source_.name(),
            "its layer " + digest.to_string() + " isn't named by " + std::string(hash) + ", as the store's are");
    };
    for (const Digest& diff_id : config_.diff_ids) check_algorithm(diff_id);
    for (const Descriptor& layer : manifest_.layers) check_algorithm(layer.digest);
    const std::vector<Digest> ids = chain_ids(config_.diff_ids);
    for (std::size_t i = 0; i < ids.size(); ++i) layers_.push_back({.blob = manifest_.layers[i], .id = ids[i]});
  }

  /// From here on, so that nothing that needn't be transferred is removed meanwhile.
  void keep_what_is_there() const {
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
      try {
        return lease_.add(layer->id);
      } catch (const Error& error) {
        if (error.code() != errc::not_found && error.code() != errc::damaged) throw;
      }
    }
  }

  std::uint64_t bytes_to_come() const {
    std::uint64_t bytes = 0;
    for (const WantedLayer& layer : layers_) {
      const bool stored = core_.has(layer.id);
      const bool kept = is_blob_kept(core_, layer.blob);
      // What it takes once it is extracted, nobody says; as much again is the least.
      const std::uint64_t times = (stored ? 0U : 1U) + (options_.keep_blobs && !kept ? 1U : 0U);
      constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
      for (std::uint64_t i = 0; i < times; ++i) bytes += std::min(layer.blob.size, most - bytes);
    }
    return bytes;
  }

  /// Whether a blob has to be there for this image, and isn't.
  bool is_to_come(const WantedLayer& layer) const {
    return (options_.keep_blobs || !core_.find_undamaged(layer.id)) && !is_blob_kept(core_, layer.blob);
  }

  /// Of the blobs that are to be transferred, each once; without those bytes that an earlier transfer has left, where
  /// `rest`. As large as it gets, where they are more.
  std::uint64_t bytes_of_blobs(bool rest) const {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t bytes = 0;
    std::set<Digest> seen;
    for (const WantedLayer& layer : layers_) {
      if (!is_to_come(layer) || !seen.insert(layer.blob.digest).second) continue;
      const std::uint64_t left = rest ? Download::left_of(core_, layer.blob) : 0;
      bytes += std::min(layer.blob.size - std::min(left, layer.blob.size), most - bytes);
    }
    return bytes;
  }

  void check_size() const {
    if (!options_.max_bytes) return;
    const std::uint64_t bytes = bytes_of_blobs(false);
    if (bytes > *options_.max_bytes)
      throw_error(errc::limit_exceeded, "pull", source_.name(),
                  "its layers have " + std::to_string(bytes) + " bytes to transfer, and " +
                      std::to_string(*options_.max_bytes) + " are allowed",
                  "allow more, if you trust where it comes from");
  }

  /// What can't be stored needn't be begun: others would find the disk full meanwhile. All blobs are on the disk at a
  /// time at most, also where they aren't to be kept.
  void check_room() const {
    if (source_.is_local() && !options_.keep_blobs) return;  // none is
    struct statfs st {};
    if (sys::fstatfs(core_.root_descriptor(), st) != 0 || st.f_blocks == 0) return;  // some FUSE filesystems don't say
    const auto unit = static_cast<std::uint64_t>(st.f_frsize != 0 ? st.f_frsize : st.f_bsize);
    const std::uint64_t room = static_cast<std::uint64_t>(st.f_bavail) * unit;
    const std::uint64_t bytes = bytes_of_blobs(true);
    if (bytes > room)
      throw_errno(ENOSPC, "pull", source_.name(),
                  "its layers have " + std::to_string(bytes) + " bytes to transfer, and there is room for " +
                      std::to_string(room));
  }

  /// False: bytes of an earlier transfer were bad, which `distrusted` now has, and are gone.
  bool attempt(std::set<Digest>& distrusted) {
    ImageTeller teller(options_.control, manifest_.layers);
    if (source_.is_local() && !options_.keep_blobs) {
      import(teller, nullptr);
      add({});
      teller.done();
      return true;
    }
    Transfer transfer(core_, source_, layers_,
                      {.keep_blobs = options_.keep_blobs, .transfers = options_.transfers, .distrusted = distrusted},
                      teller, stop_);
    std::size_t failed = layers_.size();
    try {
      import(teller, &transfer);
      transfer.finish(failed);
      failed = layers_.size();  // whatever goes wrong from here on is no layer's fault
      add([&transfer] { transfer.place_blobs(); });
    } catch (Error& error) {
      if (error.code() == errc::cancelled) throw;
      for (std::size_t i = 0; failed == layers_.size() && i < layers_.size(); ++i)
        if (!core_.has(layers_[i].id)) failed = i;  // what is below a failure is stored
      if (failed == layers_.size()) throw;
      const Digest& blob = layers_[failed].blob.digest;
      const bool again = blames_bytes(error) && transfer.drop(failed);
      if (again && distrusted.insert(blob).second) return false;
      if (std::string_view(error.what()).find(blob.to_string()) == std::string_view::npos)
        error.add_context("layer " + blob.to_string() + " of " + source_.name());
      throw;
    }
    transfer.clean();
    teller.done();
    return true;
  }

  void import(ImageTeller& teller, Transfer* transfer) {
    const std::vector<HistoryEntry> history = config_.history_of_layers();
    std::vector<std::unique_ptr<ByteSource>> sources;
    std::vector<LayerInput> inputs;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      ImportOptions layer = import_options(config_, history[i], layers_[i].blob.digest, config_.diff_ids[i]);
      layer.conformance = options_.conformance;
      layer.owners = options_.owners;
      layer.budget = options_.budget;
      layer.take_stored = true;
      if (i + 1 == layers_.size()) layer.lease = &lease_;
      layer.control.stop = stop_;
      layer.control.observer = [&teller, i](const Progress& progress) {
        teller.layer(i,
                     progress.phase == Progress::Phase::reading ? LayerProgress::Phase::transferring
                                                                : LayerProgress::Phase::storing,
                     progress.entries);
      };
      const std::stop_source stop;
      if (transfer)
        sources.push_back(transfer->read(i, stop.get_token()));
      else
        sources.push_back(std::make_unique<DirectSource>(source_, layers_[i].blob, teller, stop.get_token()));
      inputs.push_back({.source = *sources.back(), .options = std::move(layer), .stop = stop});
    }
    (void)store_.import_chain(inputs);
  }

  void add(std::function<void()> place_blobs) const {
    if (stop_.stop_requested()) throw_error(errc::cancelled, "pull", source_.name());
    (void)add_image(core_, {.manifest = documents_.manifest,
                            .config = documents_.config,
                            .index = documents_.index,
                            .made = false,
                            .name = name_,
                            .place_blobs = std::move(place_blobs)});
  }

  LayerStoreBase& store_;
  const StoreCore& core_;
  AnySource& source_;
  const std::string& name_;
  const PullOptions& options_;
  const std::stop_token stop_;
  const Lease& lease_;
  const std::function<void(std::uint64_t)>& make_room_;
  Documents documents_;
  ImageManifest manifest_;
  ImageConfig config_;
  std::optional<Download> config_file_;
  std::vector<WantedLayer> layers_;
};

}  // namespace

std::string time_of_layer(const std::string& layer, const std::string& image) {
  for (const std::string& time : {layer, image})
    if (is_rfc3339(time)) return time;
  return rfc3339(0);
}

ImportOptions import_options(const ImageConfig& config, const HistoryEntry& entry, const Digest& blob,
                             const Digest& diff_id) {
  ImportOptions options;
  options.created = time_of_layer(entry.created, config.created);
  options.author = entry.author.empty() ? config.author : entry.author;
  options.comment = entry.comment.empty() ? entry.created_by : entry.comment;
  options.expected_blob = blob;
  options.expected_diff_id = diff_id;
  return options;
}

Image pull_image(LayerStoreBase& store, AnySource& source, const std::string& name, const PullOptions& options,
                 const Lease& lease, const std::function<void(std::uint64_t)>& make_room) {
  return Pull(store, source, name, options, lease, make_room).run();
}

}  // namespace strata::detail
