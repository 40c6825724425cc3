// Makes each system call of each operation fail once, in every way that it may, and ends the process in its place. What
// was stored before is whole after that; the operation is done again and gives what it always gives; and nothing is
// left but what the next sweep takes.
//
//   faults [--every N] [--list] [OPERATION...]        every Nth point of these operations, or of all
//   faults --point "KIND CALL VARIANT" OPERATION      a single one, as a failure names it
#include "hook.hpp"
#include "operations.hpp"
#include "support/namespace.hpp"

#include <strata/error.hpp>

#include <boost/filesystem.hpp>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>
#include <set>

#include <sys/wait.h>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

constexpr unsigned longest_point = 120;  // seconds; a point takes milliseconds

char running[256];  // what a handler can tell

void say_where(int) {
  const char text[] = ": it has hung\n";
  (void)!::write(STDERR_FILENO, running, std::strlen(running));
  (void)!::write(STDERR_FILENO, text, sizeof text - 1);
  ::_exit(1);
}

/// A directory in memory where there is one: what is to be synced is synced ten thousand times.
class Place {
 public:
  Place() {
    const fs::path shm = "/dev/shm";
    const bool can_use = ::access(shm.c_str(), W_OK | X_OK) == 0;
    std::string name = ((can_use ? shm : fs::temp_directory_path()) / "strata-faults-XXXXXX").native();
    if (!::mkdtemp(name.data())) throw std::runtime_error("cannot create " + name);
    path_ = name;
  }
  explicit Place(const fs::path& path) : path_(path) { fs::create_directories(path_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (std::system(("chmod -R u+rwX '" + path_.native() + "' 2>/dev/null; rm -rf '" + path_.native() + "'").c_str()))
      std::fprintf(stderr, "cannot remove %s\n", path_.c_str());
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

/// One operation, and its points.
class Trial {
 public:
  Trial(const Operation& operation, const fs::path& place)
      : operation_(operation), place_(place), scene_(place / "0") {}

  std::size_t run(std::size_t every, const std::optional<Fault>& only) {
    const std::vector<Fault> all = learn();
    std::size_t points = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (only ? all[i].text() != only->text() : i % every != every / 2) continue;
      point(all[i]);
      ++points;
    }
    std::printf("%s: %zu calls, %zu of %zu points\n", operation_.name.c_str(), calls_, points, all.size());
    std::fflush(stdout);
    return points;
  }
  bool failed() const { return failed_; }

 private:
  /// What it gives and which calls it makes, undisturbed; once before that, so that nothing is made for the first time.
  std::vector<Fault> learn() {
    empty_ = scene_.names();
    for (int i = 0; i < 2; ++i) {
      operation_.prepare(scene_);
      arm({});
      expected_ = operation_.run(scene_);
      calls_ = disarm().calls;
      done_ = scene_.names();
      operation_.undo(scene_);
      scene_.sweep();
    }
    if (const std::string names = scene_.names(); names != empty_) wrong("undisturbed", "it leaves\n" + names);
    return faults_of(calls_seen());
  }

  void point(const Fault& fault) {
    const std::string shown = operation_.name + ", --point \"" + fault.text() + "\"";
    std::snprintf(running, sizeof running, "%s", shown.c_str());
    ::alarm(longest_point);
    std::string what = shown;
    const auto check = [&](const std::string& problem) {
      if (!problem.empty()) wrong(what, problem);
    };
    try {
      operation_.prepare(scene_);
      if (fault.kind == Fault::Kind::kill)
        killed(fault, check);
      else
        disturbed(fault, what, check);
      scene_.reopen();
      if (!operation_.mends) check(scene_.damages());
      // Once more, and nobody has to know what went wrong before.
      const std::string again = operation_.run(scene_);
      if (again != expected_ && !commits_anew()) check("done again, it gives\n" + again + "instead of\n" + expected_);
      scene_.sweep();
      check(scene_.damages());
      if (const std::string names = scene_.names(); names != done_ && !commits_anew())
        check("in the end there is\n" + names + "instead of\n" + done_);
      operation_.undo(scene_);
      scene_.sweep();
      if (const std::string names = scene_.names(); names != empty_)
        check("undone, there is\n" + names + "instead of\n" + empty_);
    } catch (const std::exception& error) {
      disarm();
      check(std::string("afterwards: ") + error.what());
    }
    ::alarm(0);
    if (broken_) start_anew();
  }

  /// A commit has the times of its container, which is another each time.
  bool commits_anew() const { return operation_.name.starts_with("commit"); }

  template <class Check>
  void disturbed(const Fault& fault, std::string& what, Check check) {
    const std::size_t descriptors = open_descriptors();
    std::optional<std::string> result;
    std::optional<Error> error;
    arm(fault);
    try {
      result = operation_.run(scene_);
    } catch (const Error& thrown) {
      error = thrown;
    } catch (const std::exception& thrown) {
      disarm();
      return check(std::string("it throws what is no strata::Error: ") + thrown.what());
    }
    const Suffered suffered = disarm();
    what += " (" + suffered.text() + (error ? std::string("; ") + error->what() : "") + ")";
    if (open_descriptors() != descriptors) check("a descriptor is left open");
    if (error && suffered.call == nullptr) return check("it fails, and nothing made it");
    if (result && *result != expected_ && !may_say(suffered) && !commits_anew())
      check("it is done, and gives\n" + *result + "instead of\n" + expected_);
    // What must be put back can't be by a call that fails for good.
    const bool hopeless = fault.kind == Fault::Kind::from_then_on && suffered.name() == "renameat2";
    if (error && !hopeless) check(operation_.unchanged(scene_));
    static const std::set<int> shortages = {ENOSPC, EDQUOT, EMFILE, ENFILE, EFBIG, ENOMEM};
    if (error && error->code().category() == boost::system::system_category() &&
        shortages.contains(error->code().value()) && error->remedy().empty())
      check("the error names no remedy");
  }

  /// What can't be read may well be called damaged; not so what only this process couldn't read.
  bool may_say(const Suffered& suffered) const {
    if (operation_.mends) return suffered.error != 0;  // a path that could not be mended now, and why
    static const std::set<int> passing = {EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN};
    return operation_.reads_only && suffered.error != 0 && !passing.contains(suffered.error);
  }

  template <class Check>
  void killed(const Fault& fault, Check check) {
    const pid_t child = ::fork();
    if (child == 0) {
      arm(fault);
      try {
        operation_.run(scene_);
        ::_exit(0);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", running, error.what());
        ::_exit(1);
      }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    const bool as_meant = WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0;
    if (!as_meant) check("undisturbed until it was killed, it failed");
  }

  void wrong(const std::string& what, const std::string& problem) {
    std::printf("WRONG: %s: %s\n", what.c_str(), problem.c_str());
    std::fflush(stdout);
    failed_ = broken_ = true;
  }

  /// One failure shall not be the cause of the next.
  void start_anew() {
    broken_ = false;
    try {
      operation_.undo(scene_);
    } catch (const std::exception&) {
      // The scene is left as it is, for a look.
    }
    scene_ = Scene(place_ / std::to_string(++scenes_));
    empty_ = scene_.names();
    operation_.prepare(scene_);
    expected_ = operation_.run(scene_);
    done_ = scene_.names();
    operation_.undo(scene_);
    scene_.sweep();
  }

  const Operation& operation_;
  const fs::path place_;
  Scene scene_;
  std::string empty_, done_, expected_;
  std::size_t calls_ = 0, scenes_ = 0;
  bool failed_ = false, broken_ = false;
};

struct Arguments {
  std::size_t every = 1;
  bool list = false;
  std::optional<Fault> point;
  std::vector<std::string> names;
};

Arguments arguments_of(int count, char** words) {
  Arguments arguments;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (word == "--list")
      arguments.list = true;
    else if (word == "--every" && i + 1 < count)
      arguments.every = std::max<std::size_t>(1, std::strtoul(words[++i], nullptr, 10));
    else if (word == "--point" && i + 1 < count)
      arguments.point = Fault::parse(words[++i]);
    else
      arguments.names.push_back(word);
  }
  return arguments;
}

}  // namespace

int main(int count, char** words) {
  const Arguments arguments = arguments_of(count, words);
  if (arguments.list) {
    for (const Operation& operation : operations()) std::puts(operation.name.c_str());
    return 0;
  }
  std::signal(SIGALRM, say_where);
  std::size_t points = 0;
  bool failed = false;
  const auto wanted = [&](const Operation& operation) {
    return arguments.names.empty() ||
           std::find(arguments.names.begin(), arguments.names.end(), operation.name) != arguments.names.end();
  };
  const auto run_all = [&](bool mounts, const fs::path& place) {
    std::size_t number = 0;
    for (const Operation& operation : operations()) {
      if (operation.needs_mounts != mounts || !wanted(operation)) continue;
      Place own(place / std::to_string(number++));
      Trial trial(operation, own.path());
      points += trial.run(arguments.every, arguments.point);
      failed = failed || trial.failed();
    }
  };
  {
    const Place place;
    run_all(false, place.path());
  }
  if (std::any_of(operations().begin(), operations().end(),
                  [&](const Operation& operation) { return operation.needs_mounts && wanted(operation); })) {
    if (const PrivateNamespace& space = private_namespace(); space.entered)
      run_all(true, space.place);
    else
      std::puts("skipped: this user can't have a mount namespace, so nothing is mounted");
  }
  std::printf("%zu points in all: %s\n", points, failed ? "something is wrong" : "all as promised");
  return failed ? 1 : 0;
}
