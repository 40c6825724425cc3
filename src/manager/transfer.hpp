// The blobs of an image on their way from its source to the store's downloads, several at a time and base first, and
// from there, while they grow, to the import. A blob that another thread or process is at is waited for, and then
// there: each crosses the network once.
#pragma once

#include <strata/byte_stream.hpp>
#include <strata/layer_source.hpp>

#include "manager/pull_progress.hpp"
#include "store/download.hpp"
#include "store/draft.hpp"

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace strata::detail {

/// A layer of an image: its blob, and what it is in the store.
struct WantedLayer {
  Descriptor blob;
  Digest id;
};

class Transfer {
 public:
  struct Options {
    bool keep_blobs = true;
    unsigned transfers = 4;
    std::set<Digest> distrusted = {};  ///< of which the bytes that are kept were bad
  };
  /// Begins. `source` and `teller` outlive it.
  Transfer(const StoreCore& core, AnySource& source, std::vector<WantedLayer> layers, Options options,
           ImageTeller& teller, const std::stop_token& stop);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// The blob of a layer, from its start; asked for by reading it. `stop`: it is read no further.
  std::unique_ptr<ByteSource> read(std::size_t layer, std::stop_token stop);
  /// Its bytes were no good: takes them away. Whether there is hope that fresh ones are better, since some of them came
  /// in an earlier transfer.
  bool drop(std::size_t layer);

  /// Waits for all blobs that are to be kept, and proves those that no import has read. The import is over. The number
  /// of the layer that was at fault goes to `failed`.
  void finish(std::size_t& failed);
  /// Puts them in place, with the store's lock held shared.
  void place_blobs();
  /// The downloads that nobody needs any more.
  void clean();

 private:
  enum class State { waiting, moving, complete, unneeded, failed };
  struct Blob {
    Descriptor descriptor;
    std::vector<std::size_t> layers = {};
    State state = State::waiting;
    bool wanted = false;  ///< by a reader
    bool proven = false;
    bool old = false;  ///< some of its bytes were there before
    std::uint64_t there = 0;
    std::optional<Download> file = {};
    FileDescriptor kept = {};  ///< in its place
    std::exception_ptr failure = {};
  };
  class Reader;

  void run();
  Blob* next();
  void fetch(Blob& blob);
  bool leave(Blob& blob);
  bool use_kept(Blob& blob);
  static std::string second_name(const Blob& blob);  ///< in the draft
  void receive(Blob& blob);
  bool is_needed(const Blob& blob) const;
  bool is_kept(const Blob& blob) const;
  void set(Blob& blob, State state);
  std::size_t read_at(const Blob& blob, std::uint64_t offset, std::span<std::byte> into) const;
  void prove(Blob& blob);
  std::string shown(const Blob& blob) const;

  const StoreCore& core_;
  AnySource& source_;
  const std::vector<WantedLayer> layers_;
  const Options options_;
  ImageTeller& teller_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_;
  const Draft draft_;  ///< has second names of kept blobs, so that they aren't lost meanwhile

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Blob> blobs_;      ///< each once, base first
  std::vector<Blob*> blob_of_;  ///< by layer
  std::vector<std::jthread> threads_;
};

}  // namespace strata::detail
