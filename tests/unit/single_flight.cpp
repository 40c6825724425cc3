#include <strata/layer_store.hpp>

#include "support/bytes.hpp"
#include "support/catch.hpp"
#include "support/dying_process.hpp"
#include "support/errors.hpp"
#include "support/layer_entries.hpp"
#include "support/small_store.hpp"
#include "sys.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <stop_token>
#include <string_view>
#include <thread>

using namespace strata;
using namespace strata::test;

namespace {

const std::string tar = layer({file("a", "aaa"), file("b", "bbb")});

/// Says that it was asked, and then does what the test wants.
class WatchedSource final : public ByteSource {
 public:
  explicit WatchedSource(std::function<void()> first_read) : first_read_(std::move(first_read)) {}
  std::size_t read(std::span<std::byte> into) override {
    if (!std::exchange(asked_, true)) first_read_();
    return inner_.read(into);
  }
  bool asked() const { return asked_; }

 private:
  MemorySource inner_{tar};
  std::function<void()> first_read_;
  bool asked_ = false;
};

void wait_until(const std::function<bool()>& true_now) {
  while (!true_now()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

/// Waits until the only import that isn't in a source's read() waits for that other: it tries again and again to lock.
void wait_until_one_waits() {
  static std::atomic<int> locks;
  locks = 0;
  sys::hook = [](const char* call) noexcept {
    if (std::string_view(call) == "fcntl_lock") ++locks;
    return sys::Fate{};
  };
  wait_until([] { return locks >= 10; });  // more than an import makes before
  sys::hook = nullptr;
}

/// How a caller may know beforehand what the layer is.
ImportOptions known_by(bool diff_id) {
  ImportOptions options;
  (diff_id ? options.expected_diff_id : options.expected_blob) = digest_of<Sha256>(tar);
  return options;
}

}  // namespace

TEST_CASE("The second of two imports of a layer waits, and has the first one's result without reading") {
  const bool by_diff_id = GENERATE(true, false);
  SmallStore f;
  std::atomic<bool> first_reads = false, go_on = false;
  WatchedSource first_source([&] {
    first_reads = true;
    wait_until([&] { return go_on.load(); });
  });
  WatchedSource second_source([] {});
  std::optional<ImportedLayer> first, second;
  {
    const std::jthread one([&] { first = f.store.import(first_source, known_by(by_diff_id)); });
    wait_until([&] { return first_reads.load(); });
    const std::jthread two([&] { second = f.store.import(second_source, known_by(by_diff_id)); });
    wait_until_one_waits();
    go_on = true;
  }
  CHECK_FALSE(first->existed);
  CHECK(second->existed);
  CHECK(second->id == first->id);
  CHECK(first_source.asked());
  CHECK_FALSE(second_source.asked());
}

TEST_CASE("Where the first import fails, the second takes over") {
  SmallStore f;
  std::atomic<bool> first_reads = false, go_on = false;
  WatchedSource first_source([&] {
    first_reads = true;
    wait_until([&] { return go_on.load(); });
    throw std::runtime_error("the connection is gone");
  });
  WatchedSource second_source([] {});
  std::optional<ImportedLayer> second;
  std::atomic<bool> failed = false;
  {
    const std::jthread one([&] {
      try {
        f.store.import(first_source, known_by(true));
      } catch (const std::runtime_error&) {
        failed = true;
      }
    });
    wait_until([&] { return first_reads.load(); });
    const std::jthread two([&] { second = f.store.import(second_source, known_by(true)); });
    wait_until_one_waits();
    go_on = true;
  }
  CHECK(failed);
  CHECK_FALSE(second->existed);
  CHECK(second_source.asked());
  CHECK(f.store.verify(second->id).ok());
}

TEST_CASE("Where the first import's process dies, the second takes over") {
  SmallStore f;
  int reads[2];
  REQUIRE(::pipe(reads) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    WatchedSource source([&] {
      const char byte = 1;
      if (::write(reads[1], &byte, 1) == 1) ::pause();
    });
    try {
      f.store.import(source, known_by(true));
    } catch (...) {
    }
    ::_exit(1);
  }
  char byte = 0;
  REQUIRE(::read(reads[0], &byte, 1) == 1);
  std::optional<ImportedLayer> second;
  WatchedSource source([] {});
  {
    const std::jthread two([&] { second = f.store.import(source, known_by(true)); });
    wait_until_one_waits();
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
  }
  ::close(reads[0]);
  ::close(reads[1]);
  CHECK(source.asked());
  CHECK_FALSE(second->existed);
  CHECK(f.store.verify(second->id).ok());
}

TEST_CASE("Who waits for another import can be told to stop") {
  SmallStore f;
  std::atomic<bool> first_reads = false, go_on = false, cancelled = false;
  WatchedSource first_source([&] {
    first_reads = true;
    wait_until([&] { return go_on.load(); });
  });
  WatchedSource second_source([] {});
  {
    const std::jthread one([&] { f.store.import(first_source, known_by(true)); });
    wait_until([&] { return first_reads.load(); });
    std::stop_source stop;
    const std::jthread two([&] {
      ImportOptions options = known_by(true);
      options.control.stop = stop.get_token();
      cancelled = fails_with(errc::cancelled, [&] { f.store.import(second_source, options); });
      go_on = true;
    });
    stop.request_stop();
  }
  CHECK(cancelled);
  CHECK_FALSE(second_source.asked());
}

TEST_CASE("Two chains that share their lower layers don't wait for each other for ever") {
  SmallStore f;
  std::vector<std::string> tars;
  std::vector<Digest> diff_ids;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    tars.push_back(layer({file(name, name)}));
    diff_ids.push_back(digest_of<Sha256>(tars.back()));
  }
  std::atomic<std::size_t> extracted = 0;
  const auto import_all = [&] {
    std::vector<MemorySource> sources(tars.begin(), tars.end());
    std::vector<LayerInput> inputs;
    for (std::size_t i = 0; i < tars.size(); ++i) {
      ImportOptions options;
      options.expected_diff_id = diff_ids[i];
      inputs.push_back(LayerInput{.source = sources[i], .options = options});
    }
    for (const ImportedLayer& layer : f.store.import_chain(inputs))
      if (!layer.existed) ++extracted;
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back(import_all);
  }
  CHECK(extracted == tars.size());
  CHECK(f.store.list().size() == tars.size());
}
