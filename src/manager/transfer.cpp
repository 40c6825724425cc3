#include "manager/transfer.hpp"

#include <strata/error.hpp>

#include "image/content_hash.hpp"
#include "store/kept_blob.hpp"
#include "tree/directory.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace strata::detail {

namespace {

constexpr std::size_t block_size = 256U << 10;

[[noreturn]] void wrong_size(const std::string& shown, std::uint64_t size, bool more) {
  throw_error(errc::digest_mismatch, "accept", shown,
              (more ? "it has more than the " : "it ended before the ") + std::to_string(size) +
                  " bytes that the manifest says");
}

}  // namespace

/// Reads a blob that may be still on its way.
class Transfer::Reader final : public ByteSource {
 public:
  Reader(Transfer& transfer, Blob& blob, std::stop_token stop)
      : transfer_(transfer), blob_(blob), stop_(std::move(stop)) {}

  std::size_t read(std::span<std::byte> into) override {
    {
      std::unique_lock hold(transfer_.mutex_);
      if (!std::exchange(blob_.wanted, true) && blob_.state == State::unneeded) {
        blob_.state = State::waiting;  // it was stored, and then removed
        transfer_.changed_.notify_all();
      }
      transfer_.changed_.wait(hold, stop_, [this] {
        return blob_.there > offset_ || blob_.state == State::complete || blob_.state == State::failed;
      });
      if (stop_.stop_requested()) throw_error(errc::cancelled, "transfer", name());
      if (blob_.state == State::failed) std::rethrow_exception(blob_.failure);
      if (blob_.there <= offset_) {
        blob_.proven = true;  // as far as the import ends well
        return 0;
      }
      into = into.first(static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), blob_.there - offset_)));
    }
    const std::size_t n = transfer_.read_at(blob_, offset_, into);
    if (n == 0) throw_error(errc::damaged, "read", name(), "it has become shorter");
    offset_ += n;
    return n;
  }
  std::optional<std::uint64_t> size() const override { return blob_.descriptor.size; }
  std::string name() const override { return transfer_.shown(blob_); }

 private:
  Transfer& transfer_;
  Blob& blob_;
  const std::stop_token stop_;
  std::uint64_t offset_ = 0;
};

Transfer::Transfer(const StoreCore& core, AnySource& source, std::vector<WantedLayer> layers, Options options,
                   ImageTeller& teller, const std::stop_token& stop)
    : core_(core),
      source_(source),
      layers_(std::move(layers)),
      options_(std::move(options)),
      teller_(teller),
      forward_(stop, [this] { stop_.request_stop(); }),
      draft_(core) {
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    auto found = std::ranges::find(blobs_, layers_[i].blob.digest, [](const Blob& b) { return b.descriptor.digest; });
    if (found == blobs_.end()) {
      blobs_.push_back(Blob{.descriptor = layers_[i].blob});
      found = std::prev(blobs_.end());
    }
    found->layers.push_back(i);
    blob_of_.push_back(&*found);
  }
  for (const Blob& blob : blobs_) {
    if (is_needed(blob)) {
      teller_.expect(blob.descriptor.size);
    } else {
      teller_.blob(blob.descriptor.digest, LayerProgress::Phase::existed, 0);
    }
  }
  const std::size_t most = std::min<std::size_t>(std::max(1U, options_.transfers), blobs_.size());
  for (std::size_t i = 0; i < most; ++i) {
    try {
      threads_.emplace_back([this] { run(); });
    } catch (const std::system_error&) {
      if (threads_.empty()) throw;
      break;  // those that are there do the work
    }
  }
}

Transfer::~Transfer() {
  stop_.request_stop();
  threads_.clear();
}

std::string Transfer::shown(const Blob& blob) const {
  return "layer " + blob.descriptor.digest.to_string() + " of " + source_.name();
}

std::string Transfer::second_name(const Blob& blob) { return "blob." + blob.descriptor.digest.hex(); }

std::unique_ptr<ByteSource> Transfer::read(std::size_t layer, std::stop_token stop) {
  return std::make_unique<Reader>(*this, *blob_of_[layer], std::move(stop));
}

void Transfer::run() {
  while (Blob* const blob = next()) {
    try {
      fetch(*blob);
    } catch (...) {
      {
        const std::lock_guard hold(mutex_);
        blob->failure = std::current_exception();
      }
      set(*blob, State::failed);
    }
  }
}

/// Until there is one; none: it is over.
Transfer::Blob* Transfer::next() {
  std::unique_lock hold(mutex_);
  Blob* found = nullptr;
  changed_.wait(hold, stop_.get_token(), [&] {
    for (Blob& blob : blobs_) {
      if (blob.state != State::waiting) continue;
      found = &blob;
      return true;
    }
    return false;
  });
  if (stop_.stop_requested() || found == nullptr) return nullptr;
  found->state = State::moving;
  return found;
}

void Transfer::set(Blob& blob, State state) {
  const std::lock_guard hold(mutex_);
  blob.state = state;
  changed_.notify_all();
}

bool Transfer::is_kept(const Blob& blob) const {
  return !options_.distrusted.contains(blob.descriptor.digest) && is_blob_kept(core_, blob.descriptor);
}

bool Transfer::is_needed(const Blob& blob) const {
  if (options_.keep_blobs && !is_kept(blob)) return true;
  return std::ranges::any_of(blob.layers, [this](std::size_t i) { return !core_.has(layers_[i].id); });
}

/// Where there is nothing to do. False: there is.
bool Transfer::leave(Blob& blob) {
  if (is_needed(blob)) return false;
  {
    const std::lock_guard hold(mutex_);
    if (blob.wanted) return false;
    blob.state = State::unneeded;
    changed_.notify_all();
  }
  teller_.blob(blob.descriptor.digest, LayerProgress::Phase::existed, 0);
  return true;
}

void Transfer::fetch(Blob& blob) {
  if (leave(blob)) return;
  Download file = Download::open(core_, blob.descriptor, stop_.get_token());
  // Whoever had it before may have stored the layer.
  if (leave(blob)) return file.release();
  if (use_kept(blob)) {
    file.release();
    return set(blob, State::complete);
  }
  if (file.size() > blob.descriptor.size) {  // no bytes of this blob; or those of one of whose size this image lies
    file.release();
    file = Download::open(core_, blob.descriptor, stop_.get_token());
    if (file.size() > blob.descriptor.size) wrong_size(shown(blob), blob.descriptor.size, true);
  }
  {
    const std::lock_guard hold(mutex_);
    blob.there = file.size();
    blob.old = blob.there != 0;
    blob.file.emplace(std::move(file));
    changed_.notify_all();
  }
  teller_.blob(blob.descriptor.digest, LayerProgress::Phase::transferring, blob.there);
  teller_.moved(blob.there);
  if (!blob.file->is_complete()) receive(blob);
  blob.file->complete();
  set(blob, State::complete);
}

/// Where the store has the blob already. A second name keeps it if it is removed before the image is there.
bool Transfer::use_kept(Blob& blob) {
  if (options_.distrusted.contains(blob.descriptor.digest)) return false;
  FileDescriptor fd = open_kept_blob(core_, blob.descriptor.digest);
  if (!fd) return false;
  const std::uint64_t size = stat_of(fd.get()).size;
  if (size != blob.descriptor.size) return false;
  const std::string path = core_.blob_path(blob.descriptor.digest);
  (void)sys::linkat(core_.root_descriptor(), path.c_str(), draft_.descriptor(), second_name(blob).c_str(), 0);
  const std::lock_guard hold(mutex_);
  blob.old = true;
  blob.there = size;
  blob.kept = std::move(fd);
  return true;
}

void Transfer::receive(Blob& blob) {
  const std::uint64_t size = blob.descriptor.size;
  const std::stop_token stop = stop_.get_token();
  const std::unique_ptr<ByteSource> from = source_.open(blob.descriptor, blob.there, stop);
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(block_size);
  for (;;) {
    if (stop.stop_requested()) throw_error(errc::cancelled, "transfer", shown(blob));
    const std::size_t n = from->read({buffer.get(), block_size});
    if (n > size - blob.there || (n == 0 && blob.there < size)) {
      blob.file->drop();
      wrong_size(shown(blob), size, n != 0);
    }
    if (n == 0) return;
    blob.file->append({buffer.get(), n});
    {
      const std::lock_guard hold(mutex_);
      blob.there += n;
      changed_.notify_all();
    }
    teller_.blob(blob.descriptor.digest, LayerProgress::Phase::transferring, blob.there);
    teller_.moved(n);
  }
}

std::size_t Transfer::read_at(const Blob& blob, std::uint64_t offset, std::span<std::byte> into) const {
  if (!blob.kept) return blob.file->read_at(offset, into);
  const ssize_t n = sys::pread(blob.kept.get(), into.data(), into.size(), static_cast<off_t>(offset));
  if (n < 0) throw_errno(errno, "read the kept blob", blob.descriptor.digest.to_string());
  return static_cast<std::size_t>(n);
}

bool Transfer::drop(std::size_t layer) {
  stop_.request_stop();
  threads_.clear();
  Blob& blob = *blob_of_[layer];
  if (blob.file) blob.file->drop();
  return blob.old;
}

void Transfer::finish(std::size_t& failed) {
  if (options_.keep_blobs) {
    for (Blob& blob : blobs_) {
      failed = blob.layers.front();
      {
        std::unique_lock hold(mutex_);
        changed_.wait(hold, stop_.get_token(),
                      [&] { return blob.state != State::waiting && blob.state != State::moving; });
        if (blob.state == State::failed) std::rethrow_exception(blob.failure);
        if (stop_.stop_requested()) throw_error(errc::cancelled, "transfer", shown(blob));
      }
      if (blob.file && !blob.proven) prove(blob);
      if (blob.file) blob.file->sync();
    }
  }
  stop_.request_stop();
  threads_.clear();
}

/// Digests a blob that no import has read.
void Transfer::prove(Blob& blob) {
  AnyHash hash = hash_like(blob.descriptor.digest);
  const std::unique_ptr<ByteSource> from = std::make_unique<Reader>(*this, blob, stop_.get_token());
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(block_size);
  while (const std::size_t n = from->read({buffer.get(), block_size})) {
    if (stop_.stop_requested()) throw_error(errc::cancelled, "check", shown(blob));
    hash.update({buffer.get(), n});
  }
  const Digest digest = hash.finish();
  if (digest == blob.descriptor.digest) return;
  blob.proven = false;
  throw_error(errc::digest_mismatch, "accept", shown(blob), "its digest is " + digest.to_string());
}

void Transfer::place_blobs() {
  if (!options_.keep_blobs) return;
  std::set<Digest> placed;
  for (const Blob& blob : blobs_) {
    const Digest& digest = blob.descriptor.digest;
    make_blob_rooms(core_, digest);
    if (!is_kept(blob)) {
      const std::string second = second_name(blob);
      const bool kept = (blob.file && blob.file->keep()) || is_kept(blob) ||
                        (try_stat(draft_.descriptor(), second) && draft_.publish(second, core_.blob_path(digest)));
      if (!kept) throw_error(errc::not_found, "keep", shown(blob), "it was removed meanwhile", "pull the image again");
      placed.insert(digest);
    }
  }
  if (!placed.empty()) sync_blob_room(core_, *placed.begin());
}

void Transfer::clean() {
  for (Blob& blob : blobs_)
    if (blob.file) blob.file->release();
}

}  // namespace strata::detail
