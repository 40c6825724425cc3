// Each way in which the kernel refuses an overlay, provoked: the error names the cause and says what to do. Where
// the kernel's log can't be read (an ordinary user), the cause is found by looking.
#include <strata/mount/kernel_overlay.hpp>

#include "support/overlay_plan.hpp"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <functional>

using namespace strata;
using namespace strata::test;
using Catch::Contains;
using Method = KernelOverlay::Method;
namespace fs = boost::filesystem;

namespace {

struct Fixture : OverlayPlan {
  /// The Error of mounting the plan; after it nothing is mounted.
  Error refusal() {
    const Error error = thrown([&] { backend.mount(plan); });
    CHECK_FALSE(table_entry(plan.target));
    CHECK_FALSE(error.remedy().empty());
    return error;
  }
};

/// A filesystem mounted for as long as this lives.
struct TemporaryFilesystem {
  fs::path place;
  TemporaryFilesystem(const fs::path& where, const char* options) : place(where) {
    REQUIRE(::mount("tmpfs", place.c_str(), "tmpfs", 0, options) == 0);
  }
  TemporaryFilesystem(const TemporaryFilesystem&) = delete;
  TemporaryFilesystem& operator=(const TemporaryFilesystem&) = delete;
  ~TemporaryFilesystem() { ::umount2(place.c_str(), MNT_DETACH); }
};

void each_method(const std::function<void(Fixture&)>& check) {
  for (const auto method : {Method::descriptors, Method::names, Method::classic}) {
    CAPTURE(static_cast<int>(method));
    Fixture f;
    f.backend.first_method = method;
    check(f);
  }
}

}  // namespace

TEST_CASE("the method that was used is told") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.backend.first_method = Method::classic;
  CHECK(f.backend.mount(f.plan).method == "mount(2)");
  f.backend.unmount(f.plan.target.native());
}

TEST_CASE("one layer behind two names") {
  STRATA_NEEDS_NAMESPACE
  each_method([](Fixture& f) {
    fs::create_directory_symlink(f.plan.lowers[0], f.scratch.root() / "alias");
    f.plan.lowers[1] = f.scratch.root() / "alias";
    const Error error = f.refusal();
    CHECK(error.code().value() == ELOOP);
    CHECK_THAT(error.detail(), Contains("there twice"));
  });
}

TEST_CASE("a work directory on another filesystem than the upper") {
  STRATA_NEEDS_NAMESPACE
  each_method([](Fixture& f) {
    const TemporaryFilesystem other(f.plan.work, nullptr);
    CHECK_THAT(f.refusal().detail(), Contains("not on the same mount"));
  });
}

TEST_CASE("an upper that was mounted volatile") {
  STRATA_NEEDS_NAMESPACE
  each_method([](Fixture& f) {
    f.plan.options.is_volatile = true;
    f.backend.mount(f.plan);
    f.backend.unmount(f.plan.target.native());
    f.plan.options.is_volatile = false;
    const Error error = f.refusal();
    CHECK_THAT(error.detail(), Contains("volatile"));
    CHECK_THAT(error.remedy(), Contains("work/incompat"));
    fs::remove_all(f.plan.work / "work/incompat");
    const Mounted<KernelOverlay> mended(f.backend, f.plan);
  });
}

TEST_CASE("an upper on an overlay") {
  STRATA_NEEDS_NAMESPACE
  each_method([](Fixture& f) {
    const Mounted<KernelOverlay> below(f.backend, f.plan);
    Fixture g;
    g.backend = f.backend;
    g.plan.upper = f.plan.target / "upper";
    g.plan.work = f.plan.target / "work";
    fs::create_directory(g.plan.upper);
    fs::create_directory(g.plan.work);
    CHECK_THAT(g.refusal().detail(), Contains("can't hold one"));
  });
}

TEST_CASE("an upper on a read-only filesystem") {
  STRATA_NEEDS_NAMESPACE
  each_method([](Fixture& f) {
    const fs::path place = f.scratch.directory("fs");
    const TemporaryFilesystem filesystem(place, nullptr);
    f.plan.upper = place / "upper";
    f.plan.work = place / "work";
    fs::create_directory(f.plan.upper);
    fs::create_directory(f.plan.work);
    REQUIRE(::mount(nullptr, place.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
    CHECK_THAT(f.refusal().detail(), Contains("read-only"));
  });
}

TEST_CASE("overlays on overlays, one too deep") {
  STRATA_NEEDS_NAMESPACE
  Fixture one;
  Fixture two;
  const Mounted<KernelOverlay> first(one.backend, one.plan);
  two.plan.lowers[1] = one.plan.target;
  const Mounted<KernelOverlay> second(two.backend, two.plan);
  each_method([&](Fixture& f) {
    f.plan.lowers[1] = two.plan.target;
    CHECK_THAT(f.refusal().detail(), Contains("themselves on an overlay"));
  });
}

TEST_CASE("an index in a user namespace is refused, where the kernel would leave it out; elsewhere it is kept") {
  STRATA_NEEDS_NAMESPACE
  each_method([](Fixture& f) {
    f.plan.options.index = true;
    if (private_namespace().user) {
      const Error error = f.refusal();
      CHECK(error.code() == errc::unsupported);
      CHECK_THAT(error.detail(), Contains("index=on into index=off"));
      return;
    }
    {
      const Mounted<KernelOverlay> mount(f.backend, f.plan);
      CHECK_THAT(table_entry(f.plan.target)->options, Contains("index=on"));
      MountPlan second = f.plan;
      second.target = f.scratch.directory("merged2");
      const Error error = thrown([&] { f.backend.mount(second); });
      CHECK(error.code() == errc::in_use);
      CHECK_THAT(error.detail(), Contains("belongs to another mount"));
    }
    f.plan.lowers[1] = f.scratch.directory("l3");
    f.plan.lowers[0] = f.scratch.directory("l4");
    const Error error = f.refusal();
    CHECK(error.code().value() == ESTALE);
    CHECK_THAT(error.detail(), Contains("on other layers"));
  });
}

TEST_CASE("a work directory that can't be prepared, because the filesystem is full") {
  STRATA_NEEDS_NAMESPACE
  each_method([](Fixture& f) {
    const fs::path place = f.scratch.directory("fs");
    const TemporaryFilesystem filesystem(place, "nr_inodes=3");
    f.plan.upper = place / "upper";
    f.plan.work = place / "work";
    fs::create_directory(f.plan.upper);
    fs::create_directory(f.plan.work);
    const Error error = f.refusal();
    CHECK(error.code().value() == EROFS);
    CHECK_THAT(error.detail(), Contains("full"));
  });
}

TEST_CASE("more layers than overlay takes, and one without an upper") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  for (int i = 0; i < 499; ++i) f.plan.lowers.push_back("/nowhere/" + std::to_string(i));
  const Error error = f.refusal();
  CHECK(error.code() == errc::limit_exceeded);
  CHECK_THAT(error.detail(), Contains("501") && Contains("500"));
  f.plan.lowers.resize(1);
  f.plan.upper.clear();
  f.plan.work.clear();
  CHECK_THAT(f.refusal().detail(), Contains("single layer"));
}

TEST_CASE("layers in a form that can't be read here") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  if (!private_namespace().user) return;
  f.plan.form = UnionForm::overlay_trusted;
  const Error error = f.refusal();
  CHECK(error.code() == errc::unsupported);
  CHECK_THAT(error.what(), Contains("user namespace"));
}

TEST_CASE("what a plan refuses by name, this kernel refuses too") {
  STRATA_NEEDS_NAMESPACE
  using Options = std::vector<std::pair<std::string, std::string>>;
  std::vector<Options> conflicts = {{{"metacopy", "on"}, {"redirect_dir", "off"}},
                                    {{"nfs_export", "on"}, {"metacopy", "on"}},
                                    {{"nfs_export", "on"}, {"index", "off"}}};
  if (private_namespace().user) conflicts = {{{"redirect_dir", "on"}}, {{"metacopy", "on"}}};
  for (const Options& options : conflicts) {
    Fixture f;
    std::string data = "lowerdir=" + f.plan.lowers[0].native() + ",upperdir=" + f.plan.upper.native() +
                       ",workdir=" + f.plan.work.native() + (private_namespace().user ? ",userxattr" : "");
    for (const auto& [name, value] : options) {
      f.plan.options.set(name, value);
      data += "," + name + "=" + value;
    }
    CAPTURE(data);
    CHECK(f.refusal().code() == errc::refused);
    CHECK(::mount("x", f.plan.target.c_str(), "overlay", 0, data.c_str()) != 0);
    CHECK(errno == EINVAL);
  }
}

TEST_CASE("a process without CAP_SYS_ADMIN") {
  STRATA_NEEDS_NAMESPACE
  each_method([](Fixture& f) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
      __user_cap_data_struct none[2]{};
      if (::syscall(SYS_capset, &header, none) != 0) ::_exit(2);
      try {
        f.backend.mount(f.plan);
      } catch (const Error& error) {
        const bool said = error.code() == errc::unsupported &&
                          error.detail().find("CAP_SYS_ADMIN") != std::string::npos &&
                          error.remedy().find("unshare") != std::string::npos && !f.backend.probe().usable;
        ::_exit(said ? 0 : 3);
      }
      ::_exit(4);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 0);
  });
}

TEST_CASE("a process in a user namespace without a mount namespace of its own") {
  STRATA_NEEDS_NAMESPACE
  each_method([](Fixture& f) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      if (::unshare(CLONE_NEWUSER) != 0) ::_exit(0);  // it can't be had here
      f.plan.form = UnionForm::overlay_user;
      try {
        f.backend.mount(f.plan);
      } catch (const Error& error) {
        const bool said = error.code() == errc::unsupported &&
                          error.detail().find("over its mount namespace") != std::string::npos &&
                          error.remedy().find("unshare -Urm") != std::string::npos && !f.backend.probe().usable;
        ::_exit(said ? 0 : 3);
      }
      ::_exit(4);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 0);
  });
}

TEST_CASE("few descriptors are enough for many layers") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.plan.lowers.clear();
  for (int i = 0; i < 300; ++i) f.plan.lowers.push_back(f.scratch.directory("m" + std::to_string(i)));
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit few{64, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const auto features = f.backend.probe().features;
  const std::pair<std::string, std::string> by_descriptor{"layers by descriptor", "yes"};
  const std::pair<std::string, std::string> by_name{"layers by name", "yes"};
  for (const auto& [feature, method] :
       {std::pair{by_descriptor, Method::descriptors}, std::pair{by_name, Method::names}}) {
    if (std::find(features.begin(), features.end(), feature) == features.end()) continue;
    f.backend.first_method = method;
    const Mounted<KernelOverlay> mount(f.backend, f.plan);
  }
  // mount(2) needs them all at once: it says so.
  f.backend.first_method = Method::classic;
  CHECK_THAT(f.refusal().remedy(), Contains("ulimit -n"));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}
