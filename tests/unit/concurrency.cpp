#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "support/store_work.hpp"

#include <exception>
#include <mutex>
#include <thread>

#include <sys/wait.h>

using namespace strata;
using namespace strata::test;

namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool may_fork = false;  // its own runtime doesn't go well with threads in a child
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr bool may_fork = false;
#else
constexpr bool may_fork = true;
#endif
#else
constexpr bool may_fork = true;
#endif

/// Several threads, with one store object between them.
std::string work_in_threads(LayerStore<>& store, unsigned threads, int steps, unsigned seed) {
  std::mutex mutex;
  std::string failures;
  std::vector<std::jthread> workers;
  for (unsigned i = 0; i < threads; ++i)
    workers.emplace_back([&, i] {
      try {
        StoreWork work(store, seed + i, StoreWork::Mounts::no);
        for (int step = 0; step < steps; ++step) work.step();
      } catch (const std::exception& error) {
        const std::lock_guard hold(mutex);
        failures += std::string(error.what()) + "\n";
      }
    });
  workers.clear();
  return failures;
}

}  // namespace

TEST_CASE("eight threads work on one store: nothing is damaged, and nothing is left over") {
  const ScratchDirectory scratch;
  LayerStore<> store(scratch.path() / "store", {.durability = Durability::none});
  CHECK(work_in_threads(store, 8, 25, 1).empty());
  CHECK(wrong_with(store).empty());
}

TEST_CASE("four processes, of two threads each, work on one store: nothing is damaged, and nothing is left over") {
  if (!may_fork) return;
  const ScratchDirectory scratch;
  const auto root = scratch.path() / "store";
  std::vector<pid_t> children;
  for (unsigned i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::string failures;
      try {
        LayerStore<> store(root, {.durability = Durability::none});  // made by whoever comes first
        failures = work_in_threads(store, 2, 25, 100 * (i + 1));
      } catch (const std::exception& error) {
        failures = error.what();
      }
      std::fputs(failures.c_str(), stderr);
      ::_exit(failures.empty() ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(status == 0);
  }
  LayerStore<> store(root);
  CHECK(wrong_with(store).empty());
}
