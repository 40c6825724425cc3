#include "tree/file_writers.hpp"

#include <strata/error.hpp>

#include <algorithm>
#include <utility>

namespace strata::detail {

namespace {

constexpr std::size_t write_piece = 128U << 10;  // larger writes were several times slower on ext4

// A batch is handed over when it is worth waking a thread for, and before it holds so many of the stream's buffers that
// the stream could run out of them.
constexpr std::size_t batch_jobs = 32;
constexpr std::size_t batch_bytes_limit = 512U << 10;
constexpr std::size_t batch_owners_limit = 3;
/// How far the reader may be ahead of a thread; each job may hold a descriptor.
constexpr std::size_t jobs_ahead = 128;

}  // namespace

void FileWriter::begin(NewFile file) {
  file_ = std::move(file);
  offset_ = 0;
  holes_ = false;
  fd_.reset(sys::openat(file_.directory->get(), file_.name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                        file_.created_mode));
  if (!fd_) throw_errno(errno, "create the file", quoted(file_.path));
}

void FileWriter::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), write_piece);
    const ssize_t n = holes_ ? sys::pwrite(fd_.get(), bytes.data(), piece, static_cast<off_t>(offset_))
                             : sys::write(fd_.get(), bytes.data(), piece);
    if (n < 0) throw_errno(errno, "write the file", quoted(file_.path));
    offset_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void FileWriter::hole(std::uint64_t size) {
  offset_ += size;
  holes_ = true;
}

void FileWriter::end() {
  if (holes_ && sys::ftruncate(fd_.get(), static_cast<off_t>(offset_)) != 0)
    throw_errno(errno, "set the size of", quoted(file_.path));
  setter_.set_file(fd_.get(), file_.attributes, file_.exact_mode, file_.path);
  fd_.reset();
}

FileWriters::FileWriters(unsigned threads, const ObjectSetter& setter) : setter_(setter), workers_(threads) {
  try {
    for (Worker& worker : workers_) worker.thread = std::thread([this, &worker] { run(worker); });
  } catch (...) {
    stop();
    throw;
  }
}

FileWriters::~FileWriters() { stop(); }

void FileWriters::stop() {
  {
    const std::lock_guard hold(mutex_);
    stopping_ = true;
  }
  for (Worker& worker : workers_) {
    worker.wanted.notify_one();
    if (worker.thread.joinable()) worker.thread.join();
  }
}

void FileWriters::run(Worker& worker) {
  FileWriter writer(setter_);
  for (;;) {
    Batch batch;
    {
      std::unique_lock hold(mutex_);
      worker.wanted.wait(hold, [&] { return stopping_ || !worker.queue.empty(); });
      if (stopping_) return;
      batch = std::move(worker.queue.front());
      worker.queue.pop_front();
    }
    const std::size_t jobs = batch.size();
    std::exception_ptr failure;
    try {
      for (Job& job : batch) {
        if (job.file) writer.begin(*std::move(job.file));
        for (const Piece& piece : job.pieces) {
          if (piece.hole != 0) writer.hole(piece.hole);
          writer.write(piece.bytes);
        }
        if (job.last) writer.end();
      }
    } catch (...) {
      failure = std::current_exception();
    }
    batch.clear();  // the buffers go back before anyone is told that they could
    {
      const std::lock_guard hold(mutex_);
      worker.jobs -= jobs;
      if (failure && !failure_) failure_ = failure;
      if (failure_) stopping_ = true;
      // What waits holds buffers that the reader may need before it comes to hear of the failure.
      if (failure_)
        for (Worker& each : workers_) each.queue.clear();
    }
    done_.notify_one();
  }
}

/// At the beginning of a batch: the thread that has the directory already, unless it is behind; else the idlest.
void FileWriters::choose_worker(std::uint32_t directory) {
  const std::lock_guard hold(mutex_);
  const auto idlest = std::ranges::min_element(workers_, {}, &Worker::jobs);
  if (chosen_ == nullptr || directory != directory_ || chosen_->jobs > idlest->jobs + batch_jobs) chosen_ = &*idlest;
}

void FileWriters::post() {
  if (batch_.empty()) return;
  {
    std::unique_lock hold(mutex_);
    done_.wait(hold, [this] { return failure_ || chosen_->jobs < jobs_ahead; });
    if (failure_) std::rethrow_exception(failure_);
    chosen_->jobs += batch_.size();
    chosen_->queue.push_back(std::move(batch_));
  }
  chosen_->wanted.notify_one();
  batch_ = {};
  batch_bytes_ = batch_owners_ = 0;
  last_owner_ = nullptr;
}

void FileWriters::begin(NewFile file, std::uint32_t directory) {
  if (batch_.empty()) choose_worker(directory);
  directory_ = directory;
  batch_.push_back({.file = std::move(file)});
}

/// What belongs to the file that was begun last, in the job that is being put together.
FileWriters::Job& FileWriters::job() {
  if (batch_.empty()) batch_.emplace_back();
  return batch_.back();
}

void FileWriters::write(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  batch_bytes_ += bytes.size();
  if (owner.get() != last_owner_) ++batch_owners_;
  last_owner_ = owner.get();
  job().pieces.push_back({.bytes = bytes, .owner = std::move(owner)});
  if (batch_bytes_ >= batch_bytes_limit || batch_owners_ >= batch_owners_limit) post();
}

void FileWriters::hole(std::uint64_t size) { job().pieces.push_back({.bytes = {}, .hole = size}); }

void FileWriters::end() {
  job().last = true;
  if (batch_.size() >= batch_jobs) post();
}

void FileWriters::drain() {
  post();
  std::unique_lock hold(mutex_);
  done_.wait(hold,
             [this] { return failure_ || std::ranges::all_of(workers_, [](const Worker& w) { return w.jobs == 0; }); });
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace strata::detail
