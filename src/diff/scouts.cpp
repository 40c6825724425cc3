#include "diff/scouts.hpp"

#include "diff/compare.hpp"

#include <strata/error.hpp>

#include <algorithm>

namespace strata::detail {
namespace {

constexpr std::size_t most_ahead = 1 << 12;
constexpr std::size_t most_bytes_ahead = 4U << 20;
constexpr std::size_t most_bytes_of_one = 1U << 20;  ///< of a directory's files
constexpr unsigned most_threads = 8;
/// So many directories are worth a thread.
constexpr std::size_t worth_threads = 4;

std::size_t content_of(const Candidates& candidates) {
  std::size_t bytes = 0;
  for (const Pair& pair : candidates.pairs) bytes += pair.content ? pair.content->content.size() : 0;
  return bytes;
}

bool has_one_name(const MergedView::Entry& entry) { return entry.metadata.links == 1; }

}  // namespace

Scouts::Scouts(const Views& views, const Strategy& strategy, std::stop_token stop)
    : views_(views), strategy_(strategy), stop_(std::move(stop)) {}

Scouts::~Scouts() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wanted_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Candidates Scouts::take(Directory& directory) {
  std::unique_lock lock(mutex_);
  while (directory.state != Directory::State::done) {
    if (directory.state == Directory::State::waiting) {
      directory.state = Directory::State::taken;
      lock.unlock();
      look(directory, views_);
      lock.lock();
      continue;
    }
    // A thread is at it: there may be something else to do meanwhile.
    if (const auto other = has_room() ? next() : nullptr) {
      lock.unlock();
      look(*other, views_);
      lock.lock();
    } else {
      done_.wait(lock);
    }
  }
  while (!waiting_.empty() && waiting_.back()->state != Directory::State::waiting) waiting_.pop_back();
  if (directory.failure) std::rethrow_exception(directory.failure);
  const bool had_room = has_room();
  ahead_ -= directory.found.pairs.size();
  bytes_ahead_ -= content_of(directory.found);
  if (!had_room && has_room()) wanted_.notify_all();
  return std::move(directory.found);
}

bool Scouts::has_room() const { return ahead_ < most_ahead && bytes_ahead_ < most_bytes_ahead; }

/// The next directory that waits, taken; nullptr: there is none.
std::shared_ptr<Directory> Scouts::next() {
  while (!waiting_.empty()) {
    const auto directory = std::move(waiting_.back());
    waiting_.pop_back();
    if (directory->state != Directory::State::waiting) continue;
    directory->state = Directory::State::taken;
    return directory;
  }
  return nullptr;
}

void Scouts::run(const Views& views) {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto directory = has_room() ? next() : nullptr;
    if (!directory) {
      wanted_.wait(lock);
      continue;
    }
    lock.unlock();
    look(*directory, views);
    lock.lock();
  }
}

/// Looks at a directory that is taken. What fails, fails in take().
void Scouts::look(Directory& directory, const Views& views) {
  Candidates found;
  std::exception_ptr failure;
  try {
    const auto& before = directory.before;
    found = before && before->metadata.is_directory()
                ? strategy_.candidates(views, directory.path, *before, directory.after)
                : all_new(views.after, directory.after);
    std::size_t bytes = 0;
    for (Pair& pair : found.pairs) {
      const std::string path = directory.path + pair.name;
      if (stop_.stop_requested()) throw_error(errc::cancelled, "compare", quoted(path));
      if (!found.compared) compare(path, pair, views);
      if (pair.after && pair.after->metadata.is_directory() && is_carried(pair.after))
        pair.directory = std::make_shared<Directory>(Directory{path + '/', pair.before, *pair.after});
      else if (bytes < most_bytes_of_one)
        bytes += read_ahead(path, pair, views);
    }
    std::erase_if(found.pairs, [](const Pair& pair) {
      return pair.same && !pair.directory && has_one_name(*pair.before) && has_one_name(*pair.after);
    });
  } catch (...) {
    failure = std::current_exception();
    found = {};
  }
  const std::lock_guard lock(mutex_);
  const std::size_t before = waiting_.size();
  try {
    for (auto pair = found.pairs.rbegin(); pair != found.pairs.rend(); ++pair)
      if (pair->directory) waiting_.push_back(pair->directory);
  } catch (...) {
    failure = std::current_exception();
  }
  const std::size_t waiting = waiting_.size() - before;
  ahead_ += found.pairs.size();
  bytes_ahead_ += content_of(found);
  directory.found = std::move(found);
  directory.failure = std::move(failure);
  directory.state = Directory::State::done;
  done_.notify_all();
  if (waiting == 0) return;
  wanted_.notify_all();
  if (threads_.empty() && waiting >= worth_threads) start_threads();
}

void Scouts::start_threads() {
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1U, most_threads) - 1;
  try {
    for (unsigned i = 0; i < threads; ++i)
      threads_.emplace_back([this, before = views_.before.again(), after = views_.after.again()] {
        run({before, after});
      });
  } catch (const std::exception&) {
    // There can't be another thread: those that are there do the work.
  }
}

/// Finds out whether a name is the same in both views.
void Scouts::compare(const std::string& path, Pair& pair, const Views& views) const {
  if (!pair.before || !pair.after || !is_carried(pair.before) || !is_carried(pair.after)) return;
  if (strategy_.instead(path)) return;
  pair.same = strategy_.same({views.before, *pair.before}, {views.after, *pair.after}, stop_);
}

/// Reads a small file that will be told. Returns its size.
std::size_t Scouts::read_ahead(const std::string& path, Pair& pair, const Views& views) const {
  if (pair.same || !pair.after || !pair.after->metadata.is_file()) return 0;
  const MergedView::Entry& after = *pair.after;
  if (!has_one_name(after) || !is_small(after.metadata) || strategy_.instead(path)) return 0;
  const OpenFile open = open_file({views.after, after});
  if (!is_small(open.now)) return 0;
  pair.content = read_small(open, views.after.shown(after));
  return pair.content->content.size();
}

}  // namespace strata::detail
