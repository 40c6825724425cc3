// How fast a tree is walked and read: the floor under diff, export and verify.
//
//   walk stat|read|xxh3|sha256 THREADS DIRECTORY...
//
// stat: getdents64, and statx of every entry. The others also read each regular file, and digest it. A directory is the
// unit of a thread's work. Prints one line (floor.hpp): the entries.
#include "floor.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

namespace {

enum class What { stat, read, xxh3, sha256 };

/// Reads one file after another, with buffers of its own: one for each thread.
class Reader {
 public:
  explicit Reader(What what) : what_(what) {}

  void read(int directory, const char* name) {
    const int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOATIME);
    if (fd < 0) floors::fail(name);
    if (what_ == What::xxh3) XXH3_64bits_reset(xxh3_.get());
    if (what_ == What::sha256) EVP_DigestInit_ex(sha256_.get(), EVP_sha256(), nullptr);
    ssize_t n = 0;
    while ((n = ::read(fd, buffer_.data(), buffer_.size())) > 0) {
      const auto size = static_cast<std::size_t>(n);
      if (what_ == What::xxh3) XXH3_64bits_update(xxh3_.get(), buffer_.data(), size);
      if (what_ == What::sha256) EVP_DigestUpdate(sha256_.get(), buffer_.data(), size);
    }
    if (n < 0) floors::fail(name);
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (what_ == What::xxh3) sum_ = XXH3_64bits_digest(xxh3_.get());
    if (what_ == What::sha256) EVP_DigestFinal_ex(sha256_.get(), digest, nullptr);
    close(fd);
  }

 private:
  What what_;
  std::vector<char> buffer_ = std::vector<char>(128 << 10);
  std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> xxh3_{XXH3_createState(), &XXH3_freeState};
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> sha256_{EVP_MD_CTX_new(), &EVP_MD_CTX_free};
  volatile std::uint64_t sum_ = 0;  // or else the digest is optimised away
};

class Walk {
 public:
  Walk(What what, std::vector<std::string> roots) : what_(what), open_(std::move(roots)) {}

  std::uint64_t run(unsigned threads) {
    {
      std::vector<std::jthread> others;
      for (unsigned i = 1; i < threads; ++i) others.emplace_back([this] { work(); });
      work();
    }
    return entries_;
  }

 private:
  void work() {
    Reader reader(what_);
    std::vector<char> buffer(256 << 10);
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return !open_.empty() || busy_ == 0; });
      if (open_.empty()) return;
      const std::string path = std::move(open_.back());
      open_.pop_back();
      ++busy_;
      lock.unlock();
      std::vector<std::string> below;
      const std::uint64_t entries = one(path, reader, buffer, below);
      lock.lock();
      --busy_;
      entries_ += entries;
      for (std::string& directory : below) open_.push_back(std::move(directory));
      changed_.notify_all();
    }
  }

  std::uint64_t one(const std::string& path, Reader& reader, std::vector<char>& buffer,
                    std::vector<std::string>& below) {
    const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);
    if (fd < 0) floors::fail(path);
    std::uint64_t entries = 0;
    for (long n = 0; (n = syscall(SYS_getdents64, fd, buffer.data(), buffer.size())) > 0;) {
      for (long at = 0; at < n;) {
        const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
        at += entry->d_reclen;
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        ++entries;
        struct statx status {};
        if (statx(fd, entry->d_name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &status) != 0)
          floors::fail(entry->d_name);
        if (entry->d_type == DT_DIR)
          below.push_back(path + "/" + entry->d_name);
        else if (entry->d_type == DT_REG && what_ != What::stat)
          reader.read(fd, entry->d_name);
      }
    }
    close(fd);
    return entries;
  }

  const What what_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> open_;  // directories that nobody has looked at yet
  int busy_ = 0;
  std::uint64_t entries_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 3 ? argv[1] : "";
  if (mode != "stat" && mode != "read" && mode != "xxh3" && mode != "sha256")
    floors::usage("walk stat|read|xxh3|sha256 THREADS DIRECTORY...");
  const What what = mode == "stat"   ? What::stat
                    : mode == "read" ? What::read
                    : mode == "xxh3" ? What::xxh3
                                     : What::sha256;
  Walk walk(what, std::vector<std::string>(argv + 3, argv + argc));
  floors::measure(std::string(mode), [&] { return walk.run(static_cast<unsigned>(std::atoi(argv[2]))); });
}
