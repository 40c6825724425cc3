// Images made in memory, and a source of them that counts what crosses it, breaks, stalls and lies.
#pragma once

#include <strata/compression.hpp>
#include <strata/error.hpp>
#include <strata/hash.hpp>
#include <strata/image.hpp>
#include <strata/layer_source.hpp>

#include "support/bytes.hpp"
#include "support/codec.hpp"
#include "support/layer_entries.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace strata::test {

/// An image, and all its blobs.
struct MadeImage {
  Document top;
  std::map<Digest, std::string> blobs;
  ImageManifest manifest;
  ImageConfig config;
  std::vector<std::string> tars;

  Digest layer() const {
    std::optional<Digest> id;
    for (const Digest& diff_id : config.diff_ids) id = chain_id(id, diff_id);
    return *id;
  }
};

/// Layers of these tars, base first.
inline MadeImage image_of(const std::vector<std::string>& tars, std::string_view codec = "gzip",
                          const std::string& comment = {}) {
  MadeImage image;
  image.tars = tars;
  image.config.created = "2024-01-01T00:00:00Z";
  image.config.platform = Platform::host();
  image.config.config.cmd = {{"/bin/true"}};
  for (const std::string& tar : tars) {
    const std::string blob = encode(compression_by_name(codec), tar);
    const Digest digest = digest_of<Sha256>(std::string_view(blob));
    image.config.diff_ids.push_back(digest_of<Sha256>(std::string_view(tar)));
    image.config.history.push_back(
        {.created = "2024-02-0" + std::to_string(image.manifest.layers.size() % 9 + 1) + "T00:00:00Z",
         .created_by = "step",
         .author = "someone",
         .comment = comment});
    image.manifest.layers.push_back(
        {.media_type = compression_by_name(codec).media_type, .digest = digest, .size = blob.size()});
    image.blobs[digest] = blob;
  }
  const Document config = image.config.document();
  image.manifest.config = config.descriptor();
  image.blobs[config.digest] = config.bytes;
  image.top = image.manifest.document();
  return image;
}

/// One file of its own in each layer, with this many bytes that don't compress.
inline MadeImage noisy_image(const std::vector<unsigned>& seeds, std::size_t size = 10'000) {
  std::vector<std::string> tars;
  for (const unsigned seed : seeds) tars.push_back(layer({file("file" + std::to_string(seed), noise(size, seed))}));
  return image_of(tars);
}

/// What several sources have in common.
struct FakeNetwork {
  explicit FakeNetwork(MadeImage made) : image(std::move(made)) {}

  MadeImage image;
  std::map<Digest, std::string> lies;                   ///< what is given in the place of a blob
  std::atomic<std::uint64_t> bytes = 0;                 ///< of blobs that were given
  std::atomic<std::uint64_t> opened = 0;                ///< blobs
  std::atomic<std::uint64_t> documents = 0;             ///< but the top
  std::atomic<std::uint64_t> break_after = UINT64_MAX;  ///< bytes of each transfer
  std::atomic<bool> stall = false;                      ///< gives nothing until it is stopped
  std::atomic<bool> endless = false;
  std::atomic<int> delay_ms = 0;  ///< before each piece
  std::size_t piece = 64U << 10;
  int count_fd = -1;  ///< a file that gets a byte for each byte, for several processes; -1: none
};

class FakeSource {
 public:
  static constexpr bool local = false;
  explicit FakeSource(FakeNetwork& network) : network_(&network) {}

  std::string name() const { return "the fake registry"; }
  Document top(const std::stop_token&) { return network_->image.top; }
  Document document(const Descriptor& descriptor, const std::stop_token&) {
    ++network_->documents;
    return Document::checked(bytes_of_blob(descriptor.digest), descriptor, name());
  }
  std::unique_ptr<ByteSource> open(const Descriptor& blob, std::uint64_t offset, const std::stop_token& stop) {
    ++network_->opened;
    return std::make_unique<Body>(*network_, bytes_of_blob(blob.digest), offset, stop);
  }

 private:
  std::string bytes_of_blob(const Digest& digest) const {
    const auto lie = network_->lies.find(digest);
    if (lie != network_->lies.end()) return lie->second;
    const auto found = network_->image.blobs.find(digest);
    if (found == network_->image.blobs.end())
      throw_error(errc::not_found, "read " + digest.to_string() + " of", name(), "there is none");
    return found->second;
  }

  class Body final : public ByteSource {
   public:
    Body(FakeNetwork& network, std::string bytes, std::uint64_t offset, std::stop_token stop)
        : network_(network), bytes_(std::move(bytes)), at_(offset), stop_(std::move(stop)) {}
    std::size_t read(std::span<std::byte> into) override {
      using namespace std::chrono_literals;
      while (network_.stall && !stop_.stop_requested()) std::this_thread::sleep_for(1ms);
      for (int i = 0; i < network_.delay_ms && !stop_.stop_requested(); ++i) std::this_thread::sleep_for(1ms);
      if (stop_.stop_requested()) throw_error(errc::cancelled, "read", "the fake registry");
      if (given_ >= network_.break_after) throw_errno(ECONNRESET, "read", "the fake registry");
      std::size_t n = std::min<std::uint64_t>({into.size(), network_.piece,
                                               bytes_.size() - std::min<std::uint64_t>(at_, bytes_.size()),
                                               network_.break_after - given_});
      if (n != 0) {
        std::memcpy(into.data(), bytes_.data() + at_, n);
      } else if (network_.endless) {
        n = std::min(into.size(), network_.piece);
        std::memset(into.data(), 'x', n);
      }
      at_ += n;
      given_ += n;
      network_.bytes += n;
      if (network_.count_fd >= 0 && ::write(network_.count_fd, std::string(n, 'x').data(), n) < 0)
        throw_errno(errno, "count", "bytes");
      return n;
    }

   private:
    FakeNetwork& network_;
    const std::string bytes_;
    std::uint64_t at_ = 0, given_ = 0;
    const std::stop_token stop_;
  };

  FakeNetwork* network_;
};
static_assert(LayerSource<FakeSource>);

/// Takes an image into memory.
struct TakenImage {
  std::mutex mutex;
  std::map<Digest, std::string> blobs;
  std::optional<Document> top;
  int puts = 0;
};
class FakeSink {
 public:
  static constexpr bool parallel = true;
  explicit FakeSink(TakenImage& taken) : taken_(&taken) {}
  std::string name() const { return "the fake registry"; }
  bool has(const Descriptor& descriptor, const std::stop_token&) {
    const std::lock_guard hold(taken_->mutex);
    return taken_->blobs.contains(descriptor.digest);
  }
  void put(const Descriptor& blob, ByteSource& source, const Control&) {
    MemorySink bytes;
    copy(source, bytes);
    const Document checked = Document::checked(bytes.take(), blob, name());
    const std::lock_guard hold(taken_->mutex);
    ++taken_->puts;
    taken_->blobs[blob.digest] = checked.bytes;
  }
  void put(const Document& document, const std::stop_token&) {
    const std::lock_guard hold(taken_->mutex);
    taken_->blobs[document.digest] = document.bytes;
  }
  void finish(const Document& top, const std::stop_token&) { taken_->top = top; }

 private:
  TakenImage* taken_;
};
static_assert(LayerSink<FakeSink>);

}  // namespace strata::test
