// What only the kernel's overlay can: data-only lowers, lowers with an id map, mounts that are a descriptor.
#include <strata/mount/kernel_overlay.hpp>

#include "support/overlay_plan.hpp"

#include <sys/mount.h>
#include <sys/wait.h>

using namespace strata;
using namespace strata::test;
using Catch::Contains;
using Method = KernelOverlay::Method;
namespace fs = boost::filesystem;

namespace {

struct Fixture : OverlayPlan {
  std::string mark(const char* name) const { return std::string(overlay_prefix(plan.form)) + name; }
  /// `name` in a lower, with its content in `data`, as composefs writes it.
  void redirect(const fs::path& lower, const std::string& name, const std::string& data, std::size_t size) const {
    put(lower / name, "");
    fs::resize_file(lower / name, size);
    set_attribute(lower / name, mark("metacopy"), "");
    set_attribute(lower / name, mark("redirect"), data);
  }
  MountPlan without_target() const {
    MountPlan detached = plan;
    detached.target.clear();
    return detached;
  }
};

FileDescriptor open_at(const FileDescriptor& dir, const char* name, int flags) {
  return FileDescriptor(::openat(dir.get(), name, flags | O_CLOEXEC, 0644));
}
bool has(const FileDescriptor& dir, const char* name) { return ::faccessat(dir.get(), name, F_OK, 0) == 0; }
bool takes_descriptors() {
  for (const auto& [feature, found] : KernelOverlay().probe().features)
    if (feature == "layers by descriptor") return found == "yes";
  return false;
}

}  // namespace

TEST_CASE("a data-only lower gives files their content, and shows no name") {
  STRATA_NEEDS_NAMESPACE
  for (const auto method : {Method::descriptors, Method::names, Method::classic}) {
    for (const std::string odd : {"", "a:b,c\\d", "::"}) {
      CAPTURE(static_cast<int>(method), odd);
      Fixture f;
      f.backend.first_method = method;
      f.plan.data_only = {f.scratch.directory("data1" + odd), f.scratch.directory("data2" + odd)};
      put(f.plan.data_only[0] / "one", "first");
      put(f.plan.data_only[1] / "one", "hidden");
      put(f.plan.data_only[1] / "two", "second");
      f.redirect(f.plan.lowers[1], "a", "/one", 5);
      if (!private_namespace().user) f.plan.options.metacopy = true;  // for what isn't in the lowest lower
      f.redirect(f.plan.lowers[private_namespace().user ? 1 : 0], "b", "/two", 6);
      put(f.plan.lowers[1] / "plain", "plain");
      const Mounted<KernelOverlay> mount(f.backend, f.plan);
      CHECK(names(f.plan.target) == "a b plain");
      CHECK(get(f.plan.target / "a") == "first");
      CHECK(get(f.plan.target / "b") == "second");
      put(f.plan.target / "a", "changed");
      CHECK(get(f.plan.upper / "a") == "changed");
      CHECK(get(f.plan.data_only[0] / "one") == "first");
    }
  }
}

TEST_CASE("data-only lowers whose names don't fit into one page are mounted by mount(2) too") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.backend.first_method = Method::classic;
  for (int i = 0; i < 60; ++i)
    f.plan.data_only.push_back(f.scratch.directory(std::string(100, 'd') + std::to_string(i)));
  put(f.plan.data_only.back() / "one", "last");
  f.redirect(f.plan.lowers[1], "a", "/one", 4);
  const Mounted<KernelOverlay> mount(f.backend, f.plan);
  CHECK(get(f.plan.target / "a") == "last");
}

TEST_CASE("a data-only lower counts as a layer, and one that isn't there is named") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.plan.data_only = {f.scratch.root() / "absent"};
  for (const auto method : {Method::descriptors, Method::names, Method::classic}) {
    f.backend.first_method = method;
    const Error error = thrown([&] { f.backend.mount(f.plan); });
    CHECK(error.code() == errc::not_found);
    CHECK_THAT(error.what(), Contains("absent"));
  }
  for (int i = 0; i < 499; ++i) f.plan.data_only.push_back("/nowhere/" + std::to_string(i));
  CHECK(thrown([&] { f.backend.mount(f.plan); }).code() == errc::limit_exceeded);
}

TEST_CASE("a detached mount is worked in by its descriptor, attached where one likes, and gone with it") {
  STRATA_NEEDS_NAMESPACE
  for (const auto method : {Method::descriptors, Method::names}) {
    Fixture f;
    f.backend.first_method = method;
    put(f.plan.lowers[1] / "kept", "base");
    const auto before = mount_table().size();
    FileDescriptor mount = f.backend.mount_detached(f.without_target());
    REQUIRE(mount);
    CHECK(mount_table().size() == before);
    CHECK(has(mount, "kept"));
    REQUIRE(open_at(mount, "new", O_WRONLY | O_CREAT));
    CHECK(::unlinkat(mount.get(), "kept", 0) == 0);
    CHECK(fs::exists(f.plan.upper / "new"));
    CHECK(is_whiteout(f.plan.upper / "kept"));
    REQUIRE(::move_mount(mount.get(), "", AT_FDCWD, f.plan.target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0);
    CHECK(names(f.plan.target) == "new");
    mount.reset();
    CHECK(names(f.plan.target) == "new");
    f.backend.unmount(f.plan.target.native());

    // Its upper is free again when the descriptor is closed.
    { const FileDescriptor dropped = f.backend.mount_detached(f.without_target()); }
    const Mounted<KernelOverlay> again(f.backend, f.plan);
    CHECK(mount_table().size() == before + 1);
  }
}

TEST_CASE("a detached mount is handed to another process") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  put(f.plan.lowers[1] / "kept", "base");
  const FileDescriptor mount = f.backend.mount_detached(f.without_target());
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // Another mount namespace than the one in which it was made.
    const bool works = ::unshare(CLONE_NEWNS) == 0 && has(mount, "kept") &&
                       ::move_mount(mount.get(), "", AT_FDCWD, f.plan.target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
                       ::access((f.plan.target / "kept").c_str(), F_OK) == 0;
    ::_exit(works ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK_FALSE(table_entry(f.plan.target));
}

TEST_CASE("what a detached mount can't be is said") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  CHECK(thrown([&] { f.backend.mount_detached(f.plan); }).code() == errc::refused);
  f.backend.first_method = Method::classic;
  CHECK(thrown([&] { f.backend.mount_detached(f.without_target()); }).code() == errc::unsupported);
  f.backend.first_method = Method::descriptors;
  f.plan.options.index = true;
  if (private_namespace().user) {
    CHECK_THAT(thrown([&] { f.backend.mount_detached(f.without_target()); }).detail(), Contains("index=off"));
  } else {
    const FileDescriptor mount = f.backend.mount_detached(f.without_target());
    CHECK(open_at(mount, "new", O_WRONLY | O_CREAT));
  }
  CHECK_FALSE(table_entry(f.plan.target));
}

TEST_CASE("lowers show their owners through an id map, and the layers keep theirs") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.plan.ids = {IdRanges::parse("0:5:1,5:0:1"), IdRanges::parse("0:5:1,5:0:1")};
  put(f.plan.lowers[0] / "fives", "f");
  if (!takes_descriptors() || ::chown((f.plan.lowers[0] / "fives").c_str(), 5, 5) != 0) {
    WARN("skipped: it takes a kernel that has layers by descriptor, and more ids than this user has");
    return;
  }
  put(f.plan.lowers[1] / "roots", "r");
  put(f.plan.lowers[0] / "nobodys", "n");
  REQUIRE(::chown((f.plan.lowers[0] / "nobodys").c_str(), 7, 7) == 0);
  {
    const Mounted<KernelOverlay> mount(f.backend, f.plan);
    CHECK(stat_of(f.plan.target / "roots").st_uid == 5);
    CHECK(stat_of(f.plan.target / "fives").st_gid == 0);
    CHECK(stat_of(f.plan.target / "nobodys").st_uid == 65534);
    put(f.plan.target / "roots", "changed");
    CHECK(stat_of(f.plan.target / "roots").st_uid == 5);
    // An owner that the map lacks can't be copied up.
    CHECK(write_error(f.plan.target / "nobodys") != 0);
    put(f.plan.target / "new", "new");
  }
  CHECK(stat_of(f.plan.upper / "roots").st_uid == 5);
  CHECK(stat_of(f.plan.upper / "new").st_uid == 0);
  CHECK(stat_of(f.plan.lowers[1] / "roots").st_uid == 0);
  CHECK(::waitpid(-1, nullptr, WNOHANG | __WALL) == -1);

  f.plan.lowers.clear();
  for (int i = 0; i < 500; ++i) f.plan.lowers.push_back(f.scratch.directory("m" + std::to_string(i)));
  put(f.plan.lowers.back() / "last", "");
  const Mounted<KernelOverlay> mount(f.backend, f.plan);
  CHECK(stat_of(f.plan.target / "last").st_uid == 5);
}

TEST_CASE("where lowers can't have an id map, it is said") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.plan.ids.uids = IdRanges::parse("0:5:1");
  f.backend.first_method = Method::names;
  const Error error = thrown([&] { f.backend.mount(f.plan); });
  CHECK(error.code() == errc::unsupported);
  CHECK_THAT(error.detail(), Contains("id map") && Contains("descriptor"));
  CHECK_FALSE(error.remedy().empty());
  if (!takes_descriptors() || private_namespace().user) return;
  f.backend.first_method = Method::descriptors;
  Fixture below;
  const Mounted<KernelOverlay> overlay(below.backend, below.plan);
  f.plan.lowers[1] = below.plan.target;
  const Error refused = thrown([&] { f.backend.mount(f.plan); });
  CHECK_THAT(refused.what(), Contains("map the ids of layer") && Contains("filesystem can't"));
  CHECK_FALSE(table_entry(f.plan.target));
}

TEST_CASE("a file whose owner has no id in the user namespace can be read there, and not be written") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  put(f.plan.lowers[1] / "theirs", "theirs");
  if (::chown((f.plan.lowers[1] / "theirs").c_str(), 5, 5) != 0) {
    WARN("skipped: this user has one id only");
    return;
  }
  fs::permissions(f.plan.lowers[1] / "theirs", fs::perms(0666));
  f.plan.form = UnionForm::overlay_user;
  const auto uid = std::to_string(::geteuid());
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    using strata::test::detail::write_to;
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0 || !write_to("/proc/self/setgroups", "deny") ||
        !write_to("/proc/self/uid_map", "0 " + uid + " 1") || !write_to("/proc/self/gid_map", "0 " + uid + " 1"))
      ::_exit(EOVERFLOW);  // it can't be had here
    try {
      f.backend.mount(f.plan);
      ::_exit(get(f.plan.target / "theirs") == "theirs" ? write_error(f.plan.target / "theirs") : 1);
    } catch (const std::exception&) {
      ::_exit(2);
    }
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WEXITSTATUS(status) == EOVERFLOW);
}
