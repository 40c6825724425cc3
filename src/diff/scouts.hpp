// Looking at directories ahead of the walk that tells their changes, in threads: what is slow is the kernel's work of
// listing, looking and reading. The walk asks for directories in its own order; one that no thread has come to yet it
// looks at itself, so that it is the same walk with any number of threads, or none.
#pragma once

#include "diff/strategy.hpp"

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace strata::detail {

/// A directory that is to be looked at.
struct Directory {
  std::string path;  ///< "" or ending in '/'
  std::optional<MergedView::Entry> before;
  MergedView::Entry after;

  // The rest is that of Scouts.
  enum class State { waiting, taken, done };
  State state = State::waiting;
  Candidates found = {};
  std::exception_ptr failure = nullptr;
};

/// Used by one thread. The strategy and what the views refer to outlive it.
class Scouts {
 public:
  Scouts(const Views& views, const Strategy& strategy, std::stop_token stop);
  /// What hasn't been begun is left.
  ~Scouts();
  Scouts(const Scouts&) = delete;
  Scouts& operator=(const Scouts&) = delete;

  /// What there is to compare in a directory: the root's, or that of a Pair that this has given; once for each. Pairs
  /// that are the same, are no directory and have one name are left out. What failed is thrown here.
  Candidates take(Directory& directory);

 private:
  void run(const Views& views);
  void start_threads();
  std::shared_ptr<Directory> next();
  void look(Directory& directory, const Views& views);
  void compare(const std::string& path, Pair& pair, const Views& views) const;
  std::size_t read_ahead(const std::string& path, Pair& pair, const Views& views) const;
  bool has_room() const;

  const Views views_;
  const Strategy& strategy_;
  const std::stop_token stop_;

  std::mutex mutex_;
  std::condition_variable wanted_;  ///< by threads: there is a directory, and room for what is found
  std::condition_variable done_;
  std::vector<std::shared_ptr<Directory>> waiting_;  ///< the last is the next in the walk's order; some are taken
  std::size_t ahead_ = 0;                            ///< pairs that were found and not taken
  std::size_t bytes_ahead_ = 0;                      ///< of contents that were read and not taken
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace strata::detail
