// Who keeps a mount busy is named, whatever keeps it.
#include <strata/mount/kernel_overlay.hpp>

#include "support/mount_files.hpp"
#include "support/other_process.hpp"
#include "support/overlay_plan.hpp"

#include <sys/mman.h>

using namespace strata;
using namespace strata::test;
using Catch::Contains;
namespace fs = boost::filesystem;

namespace {

struct Fixture : OverlayPlan {
  Fixture() {
    fs::create_directory(plan.lowers[0] / "dir");
    put(plan.lowers[0] / "dir/a file", "content");
  }
  fs::path file() const { return plan.target / "dir/a file"; }
  std::string refusal() const {
    const Error error = thrown([&] { backend.unmount(plan.target.native()); });
    CHECK(error.code() == errc::in_use);
    CHECK(error.remedy() == "end what uses it, and try again");
    return error.what();
  }
  /// Checks that a process that has done `begin` is named, and how it uses the mount.
  void check_named(const std::function<bool()>& begin, const std::string& use) {
    const Mounted<KernelOverlay> mount(backend, plan);
    {
      const OtherProcess holder(begin);
      REQUIRE(holder.ready());
      CHECK_THAT(refusal(), Contains("process " + std::to_string(holder.pid()) + " (") && Contains(use));
      CHECK(table_entry(plan.target));
    }
  }
};

}  // namespace

TEST_CASE("a process that works in it is named, with its name") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.check_named([&] { return ::chdir((f.plan.target / "dir").c_str()) == 0; }, "'mount_tests', working directory");
}

TEST_CASE("a process whose root it is is named") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.check_named([&] { return ::chroot(f.plan.target.c_str()) == 0; }, "root directory");
}

TEST_CASE("a process that has a file of it open is named, with the file") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.check_named([&] { return ::open(f.file().c_str(), O_RDONLY) >= 0; }, "dir/a file' open");
}

TEST_CASE("a process that has a file of it in memory, and no longer open, is named") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const auto map = [&] {
    const int fd = ::open(f.file().c_str(), O_RDONLY);
    const bool mapped = ::mmap(nullptr, 7, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED;
    return ::close(fd) == 0 && mapped;
  };
  f.check_named(map, "a file mapped into memory");
}

TEST_CASE("a process whose program is in it is named") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const fs::path program = f.plan.lowers[0] / "program";
  put(program, get("/bin/sleep"));
  fs::permissions(program, fs::perms(0755));
  f.backend.mount(f.plan);
  {
    const OtherProcess starter([&] {
      const pid_t child = ::fork();
      if (child == 0) {
        ::close(STDOUT_FILENO);
        ::execl((f.plan.target / "program").c_str(), "program", "2", nullptr);
        ::_exit(1);
      }
      for (int i = 0; i < 1000; ++i) {  // until it is that program
        const auto exe = "/proc/" + std::to_string(child) + "/exe";
        boost::system::error_code ignored;
        if (fs::read_symlink(exe, ignored) == f.plan.target / "program") return true;
        ::usleep(2000);
      }
      return false;
    });
    REQUIRE(starter.ready());
    CHECK_THAT(f.refusal(), Contains("'program', its program"));
  }
  // It isn't this process's child, and ends by itself.
  while (::umount2(f.plan.target.c_str(), 0) != 0 && errno == EBUSY) ::usleep(20000);
}

TEST_CASE("what is mounted beneath it is named") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const Mounted<KernelOverlay> mount(f.backend, f.plan);
  REQUIRE(::mount("x", (f.plan.target / "dir").c_str(), "tmpfs", 0, nullptr) == 0);
  CHECK_THAT(f.refusal(), Contains("what is mounted on") && Contains("merged/dir"));
  REQUIRE(::umount2((f.plan.target / "dir").c_str(), 0) == 0);
}

TEST_CASE("of many that use it some are named, and it is said that there are more") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const Mounted<KernelOverlay> mount(f.backend, f.plan);
  std::vector<std::unique_ptr<OtherProcess>> holders;
  for (int i = 0; i < 8; ++i) {
    holders.push_back(std::make_unique<OtherProcess>([&] { return ::chdir(f.plan.target.c_str()) == 0; }));
    REQUIRE(holders.back()->ready());
  }
  CHECK_THAT(f.refusal(), Contains("…"));
  holders.clear();
}

TEST_CASE("a process in another mount namespace doesn't keep this one's mount busy") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.backend.mount(f.plan);
  const OtherProcess other([&] { return ::unshare(CLONE_NEWNS) == 0 && ::chdir(f.plan.target.c_str()) == 0; });
  REQUIRE(other.ready());
  CHECK_NOTHROW(f.backend.unmount(f.plan.target.native()));
}
