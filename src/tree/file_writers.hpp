// Making regular files in threads beside the one that reads the layer: most of an import is the kernel's work of
// creating them.
#pragma once

#include <strata/file_descriptor.hpp>

#include "tree/attributes.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace strata::detail {

/// A file that is to be made.
struct NewFile {
  std::shared_ptr<const FileDescriptor> directory;  ///< O_PATH will do
  std::string name;
  std::uint32_t created_mode;  ///< as open(2) is given it
  std::uint32_t exact_mode;    ///< what that makes of it for sure; all ones: it can't be told
  Attributes attributes;
  std::string path;  ///< what messages call it
};

/// Makes files one after the other, at once.
class FileWriter {
 public:
  explicit FileWriter(const ObjectSetter& setter) : setter_(setter) {}
  void begin(NewFile file);
  void write(std::span<const std::byte> bytes);
  void hole(std::uint64_t size);
  void end();

 private:
  const ObjectSetter& setter_;
  NewFile file_;
  FileDescriptor fd_;
  std::uint64_t offset_ = 0;
  bool holes_ = false;
};

/// Makes files in threads. Files of one directory are made by one thread, as far as that keeps all of them at
/// work: two in one directory wait for each other. What fails is thrown by a later call, at the latest by drain(); then
/// nothing more is made. Used by one thread. Only for files whose attributes the setter `gives_silently`.
class FileWriters {
 public:
  FileWriters(unsigned threads, const ObjectSetter& setter);
  /// What hasn't been begun is left.
  ~FileWriters();
  FileWriters(const FileWriters&) = delete;
  FileWriters& operator=(const FileWriters&) = delete;

  /// `directory`: any number that tells directories apart.
  void begin(NewFile file, std::uint32_t directory);
  /// The bytes stay as they are as long as `owner` is held.
  void write(std::span<const std::byte> bytes, std::shared_ptr<const void> owner);
  void hole(std::uint64_t size);
  void end();
  /// All files that were ended are made when this returns.
  void drain();

 private:
  /// A piece of content; without bytes: a hole.
  struct Piece {
    std::span<const std::byte> bytes;
    std::uint64_t hole = 0;
    std::shared_ptr<const void> owner = {};
  };
  /// A file, or a part of a large one.
  struct Job {
    std::optional<NewFile> file = {};  ///< of a file's first job
    std::vector<Piece> pieces = {};
    bool last = false;
  };
  using Batch = std::vector<Job>;
  struct Worker {
    std::thread thread;
    std::deque<Batch> queue;
    std::size_t jobs = 0;  ///< in the queue and at work
    std::condition_variable wanted;
  };

  void run(Worker& worker);
  void stop();
  void choose_worker(std::uint32_t directory);
  Job& job();
  void post();

  const ObjectSetter& setter_;
  std::vector<Worker> workers_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::exception_ptr failure_;
  bool stopping_ = false;

  // The caller's side: what is not posted yet.
  Worker* chosen_ = nullptr;
  std::uint32_t directory_ = 0;
  Batch batch_;
  std::size_t batch_bytes_ = 0;
  std::size_t batch_owners_ = 0;
  const void* last_owner_ = nullptr;
};

}  // namespace strata::detail
