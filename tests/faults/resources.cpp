// What runs out for real: room, inodes, descriptors, the size of files, a filesystem that becomes read-only; and
// signals that interrupt whatever waits. The error says what is to be done, nothing is left of what failed, and the
// same call works once the cause is gone.
#include "operations.hpp"
#include "scene.hpp"

#include <strata/error.hpp>

#include "support/catch.hpp"
#include "support/namespace.hpp"

#include <boost/filesystem.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

/// A filesystem in memory, with a scene on it, for one test.
class SmallFilesystem {
 public:
  explicit SmallFilesystem(const std::string& options) : at_(private_namespace().place / "small") {
    fs::create_directories(at_);
    if (::mount("strata-small", at_.c_str(), "tmpfs", 0, ("mode=755," + options).c_str()) != 0)
      throw std::runtime_error("cannot mount a tmpfs");
    scene_.emplace(at_ / "scene");
  }
  SmallFilesystem(const SmallFilesystem&) = delete;
  SmallFilesystem& operator=(const SmallFilesystem&) = delete;
  ~SmallFilesystem() {
    scene_.reset();
    ::umount2(at_.c_str(), MNT_DETACH);
    ::rmdir(at_.c_str());
  }
  Scene& scene() { return *scene_; }
  const fs::path& path() const { return at_; }
  void remount(unsigned long flags) const {
    REQUIRE(::mount(nullptr, at_.c_str(), nullptr, MS_REMOUNT | flags, nullptr) == 0);
  }

 private:
  fs::path at_;
  std::optional<Scene> scene_;
};

/// A soft limit of this process, until it goes.
class Limit {
 public:
  Limit(int resource, rlim_t value) : resource_(resource) {
    ::getrlimit(resource_, &before_);
    const rlimit now{std::min(value, before_.rlim_max), before_.rlim_max};
    ::setrlimit(resource_, &now);
  }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;
  ~Limit() { ::setrlimit(resource_, &before_); }

 private:
  int resource_;
  rlimit before_{};
};

const Operation& operation(const std::string& name) {
  const auto found =
      std::find_if(operations().begin(), operations().end(), [&](const Operation& one) { return one.name == name; });
  if (found == operations().end()) throw std::logic_error("no operation " + name);
  return *found;
}

/// Those that write something that is more than a page.
const char* const writing[] = {"import large, plain", "import large, gzip", "import chain", "commit", "unpack"};

std::optional<Error> error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

/// Runs it under a cause that `begin` brings about and `end` takes away.
void fails_and_recovers(Scene& scene, const Operation& operation, int number, const std::function<void()>& begin,
                        const std::function<void()>& end) {
  CAPTURE(operation.name);
  operation.prepare(scene);
  const std::string before = scene.names();
  const std::size_t descriptors = open_descriptors();
  begin();
  const auto error = error_of([&] { operation.run(scene); });
  const std::string after = scene.names();
  end();
  REQUIRE(error);
  CAPTURE(std::string(error->what()));
  CHECK(error->code().value() == number);
  CHECK_FALSE(error->remedy().empty());
  CHECK(after == before);
  CHECK(open_descriptors() == descriptors);
  CHECK(scene.damages().empty());
  CHECK_FALSE(error_of([&] { operation.run(scene); }));
  CHECK(scene.damages().empty());
  operation.undo(scene);
}

/// Takes all room but so many bytes.
void fill(const fs::path& file, off_t spare) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0);
  const std::string block(4096, 'x');
  while (::write(fd, block.data(), block.size()) > 0) {
  }
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const bool cut = ::ftruncate(fd, std::max<off_t>(0, size - spare)) == 0;
  ::close(fd);
  REQUIRE(cut);
}

void ignore(int) {}

}  // namespace

TEST_CASE("a filesystem that is full: what is written fails, and works when there is room again") {
  STRATA_NEEDS_NAMESPACE
  SmallFilesystem small("size=8m");
  const fs::path ballast = small.path() / "ballast";
  for (const char* name : writing)
    for (const off_t spare : {0, 16384}) {
      CAPTURE(spare);
      // A tree of a few small files may find its room in the pages that are spare.
      if (spare != 0 && (std::string(name) == "commit" || std::string(name) == "unpack")) continue;
      fails_and_recovers(
          small.scene(), operation(name), ENOSPC, [&] { fill(ballast, spare); }, [&] { fs::remove(ballast); });
    }
}

TEST_CASE("a filesystem without inodes: what is made fails, and works when there are some again") {
  STRATA_NEEDS_NAMESPACE
  SmallFilesystem small("size=64m,nr_inodes=400");
  const fs::path many = small.path() / "many";
  const auto take_all_but = [&](int spare) {
    fs::create_directory(many);
    int made = 0;
    for (; ::mknod((many / std::to_string(made)).c_str(), S_IFREG | 0600, 0) == 0; ++made) {
    }
    for (; spare > 0 && made > 0; --spare) fs::remove(many / std::to_string(--made));
  };
  for (const char* name : writing)
    for (const int spare : {0, 1, 2, 3, 5, 7})
      fails_and_recovers(
          small.scene(), operation(name), ENOSPC, [&] { take_all_but(spare); }, [&] { fs::remove_all(many); });
}

TEST_CASE("a filesystem that is read-only can be read, and tells what can't be written") {
  STRATA_NEEDS_NAMESPACE
  SmallFilesystem small("size=16m");
  small.scene().names();
  for (const char* name : {"import plain", "import chain", "commit", "remove", "make a container"})
    fails_and_recovers(
        small.scene(), operation(name), EROFS, [&] { small.remount(MS_RDONLY); }, [&] { small.remount(0); });
  small.remount(MS_RDONLY);
  small.scene().reopen();
  for (const char* name : {"export", "verify", "list", "explain"}) {
    CAPTURE(name);
    const auto error = error_of([&] { operation(name).run(small.scene()); });
    CHECK((error ? error->what() : std::string()).empty());
  }
  small.remount(0);
}

TEST_CASE("files that may not be as large") {
  STRATA_NEEDS_NAMESPACE
  SmallFilesystem small("size=16m");
  const auto before = ::signal(SIGXFSZ, SIG_IGN);
  std::optional<Limit> limit;
  for (const char* name : {"import large, plain", "import large, zstd", "import chain"})
    fails_and_recovers(
        small.scene(), operation(name), EFBIG, [&] { limit.emplace(RLIMIT_FSIZE, 50'000); }, [&] { limit.reset(); });
  ::signal(SIGXFSZ, before);
}

TEST_CASE("with few descriptors, what is done is done, or fails and leaves nothing") {
  STRATA_NEEDS_NAMESPACE
  SmallFilesystem small("size=32m");
  Scene& scene = small.scene();
  for (const char* name : {"import plain", "import large, gzip", "import chain", "commit", "remove", "unpack", "diff",
                           "verify", "export", "explain", "make a container", "remove a container"}) {
    CAPTURE(name);
    const Operation& one = operation(name);
    bool failed = false, succeeded = false;
    for (rlim_t more = 0; more <= 64 && !succeeded; more += more < 24 ? 1 : 8) {
      CAPTURE(more);
      one.prepare(scene);
      const std::string before = scene.names();
      const std::size_t descriptors = open_descriptors();
      std::optional<Error> error;
      {
        // Of those that are there, one was that of the listing.
        const Limit limit(RLIMIT_NOFILE, static_cast<rlim_t>(descriptors) - 1 + more);
        error = error_of([&] { one.run(scene); });
      }
      CAPTURE(error ? std::string(error->what()) : std::string("done"));
      (error ? failed : succeeded) = true;
      CHECK(open_descriptors() == descriptors);
      if (error) {
        CHECK(error->code().value() == EMFILE);
        CHECK_FALSE(error->remedy().empty());
        CHECK(names_beneath(scene.root() / "staging", 1).empty());
        // What a chain has below its failure is stored.
        if (std::string(name) != "import chain") CHECK(scene.names() == before);
      }
      CHECK(scene.damages().empty());
      one.undo(scene);
    }
    CHECK(failed);
    CHECK(succeeded);
  }
}

TEST_CASE("a storm of signals interrupts nothing") {
  STRATA_NEEDS_NAMESPACE
  SmallFilesystem small("size=64m");
  struct sigaction action {
  }, before{};
  action.sa_handler = ignore;  // and no SA_RESTART
  ::sigaction(SIGUSR1, &action, &before);
  std::atomic<bool> over{false};
  std::thread storm([&] {
    sigset_t blocked;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);  // the others are to get them
    while (!over) {
      ::kill(::getpid(), SIGUSR1);
      std::this_thread::sleep_for(std::chrono::microseconds(30));
    }
  });
  for (int round = 0; round < 5; ++round)
    for (const char* name : {"import large, gzip", "import chain", "commit", "remove", "unpack", "diff", "verify",
                             "export", "make a container", "clean"}) {
      CAPTURE(name);
      const Operation& one = operation(name);
      const auto error = error_of([&] {
        one.prepare(small.scene());
        one.run(small.scene());
        one.undo(small.scene());
      });
      CHECK((error ? error->what() : std::string()).empty());
    }
  over = true;
  storm.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  CHECK(small.scene().damages().empty());
}
