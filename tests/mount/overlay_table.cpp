// The table of the ways in which overlayfs refuses a mount: each is provoked here, and the error has its cause and what
// to do about it. A row that can't be provoked says why; its message, as kernels that have it write it, is explained
// all the same. The table is printed.
#include <strata/mount/kernel_overlay.hpp>

#include "mount/host.hpp"
#include "mount/overlay_causes.hpp"
#include "support/overlay_plan.hpp"

#include <sys/wait.h>

#include <cstdio>
#include <functional>

using namespace strata;
using namespace strata::test;
using Catch::Contains;
using Method = KernelOverlay::Method;
namespace fs = boost::filesystem;

namespace {

struct Fixture : OverlayPlan {
  std::vector<fs::path> mounted;  ///< by a row, to be taken down with it

  explicit Fixture(Method method) { backend.first_method = method; }
  ~Fixture() {
    for (auto place = mounted.rbegin(); place != mounted.rend(); ++place) ::umount2(place->c_str(), MNT_DETACH);
  }
  /// Another name of a directory, which the plan alone doesn't show to be one.
  fs::path alias(const fs::path& directory) const {
    const fs::path link = scratch.root() / ("alias-of-" + directory.filename().native());
    fs::create_directory_symlink(directory, link);
    return link;
  }
  void mount_at(const fs::path& place, const char* type, unsigned long flags, const char* source, const char* data) {
    REQUIRE(::mount(source, place.c_str(), type, flags, data) == 0);
    mounted.push_back(place);
  }
  void upper_on(const fs::path& place) {
    plan.upper = place / "upper";
    plan.work = place / "work";
    fs::create_directory(plan.upper);
    fs::create_directory(plan.work);
  }
  void mount() {
    backend.mount(plan);
    mounted.push_back(plan.target);
  }
};

struct Row {
  const char* cause;                             ///< as the table is printed
  std::function<std::string(Fixture&)> provoke;  ///< spoils the plan; returns why it couldn't
  const char* detail;                            ///< of the error
  const char* remedy;
};

const char* const roots_alone = "only root of the first user namespace meets it";

const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
      {"a lower is missing", [](Fixture& f) { return f.plan.lowers[1] = f.scratch.root() / "absent", ""; }, "",
       "must be a directory"},
      {"the upper is missing", [](Fixture& f) { return f.plan.upper = f.scratch.root() / "absent", ""; }, "",
       "must be a directory"},
      {"the work directory is missing", [](Fixture& f) { return f.plan.work = f.scratch.root() / "absent", ""; }, "",
       "must be a directory"},
      {"a lower is a file",
       [](Fixture& f) {
         put(f.scratch.root() / "file", "");
         return f.plan.lowers[1] = f.scratch.root() / "file", "";
       },
       "", "must be a directory"},
      {"the upper is a file",
       [](Fixture& f) {
         put(f.scratch.root() / "file", "");
         return f.plan.upper = f.scratch.root() / "file", "";
       },
       "", "must be a directory"},
      {"no lower", [](Fixture& f) { return f.plan.lowers.clear(), ""; }, "no lower", "at least one layer"},
      {"one lower, no upper",
       [](Fixture& f) {
         f.plan.lowers.resize(1);
         f.plan.upper = f.plan.work = "";
         return "";
       },
       "single layer", "give it an upper"},
      {"an upper without a work directory", [](Fixture& f) { return f.plan.work.clear(), ""; }, "no work", "give both"},
      {"a work directory without an upper", [](Fixture& f) { return f.plan.upper.clear(), ""; }, "no upper",
       "give both"},
      {"the work directory on another filesystem",
       [](Fixture& f) { return f.mount_at(f.plan.work, "tmpfs", 0, "x", nullptr), ""; }, "not on the same mount",
       "one filesystem, under one mount"},
      {"the work directory on another mount of the same filesystem",
       [](Fixture& f) { return f.mount_at(f.plan.work, nullptr, MS_BIND, f.plan.work.c_str(), nullptr), ""; },
       "not on the same mount", "one filesystem, under one mount"},
      {"the work directory is the upper", [](Fixture& f) { return f.plan.work = f.alias(f.plan.upper), ""; },
       "one inside the other", "separate directories"},
      {"the work directory inside the upper",
       [](Fixture& f) {
         fs::create_directory(f.plan.upper / "work");
         return f.plan.work = f.alias(f.plan.upper / "work"), "";
       },
       "one inside the other", "separate directories"},
      {"the upper inside the work directory",
       [](Fixture& f) {
         fs::create_directory(f.plan.work / "upper");
         return f.plan.upper = f.alias(f.plan.work / "upper"), "";
       },
       "one inside the other", "separate directories"},
      {"a lower twice", [](Fixture& f) { return f.plan.lowers[1] = f.alias(f.plan.lowers[0]), ""; }, "there twice",
       "separate directories"},
      {"a lower that is the upper", [](Fixture& f) { return f.plan.lowers[1] = f.alias(f.plan.upper), ""; },
       "there twice", "separate directories"},
      {"a lower inside a lower",
       [](Fixture& f) {
         fs::create_directory(f.plan.lowers[0] / "inner");
         return f.plan.lowers[1] = f.alias(f.plan.lowers[0] / "inner"), "";
       },
       "inside another", "separate directories"},
      {"a lower inside the upper",
       [](Fixture& f) {
         fs::create_directory(f.plan.upper / "inner");
         return f.plan.lowers[1] = f.alias(f.plan.upper / "inner"), "";
       },
       "inside another", "separate directories"},
      {"an upper in use, with an index",
       [](Fixture& f) -> std::string {
         if (private_namespace().user) return roots_alone;
         f.plan.options.index = true;
         f.mount();
         f.plan.target = f.scratch.directory("merged2");
         return "";
       },
       "belongs to another mount", "unmount that first"},
      {"a work directory in use, with an index",
       [](Fixture& f) -> std::string {
         if (private_namespace().user) return roots_alone;
         f.plan.options.index = true;
         f.mount();
         f.plan.upper = f.scratch.directory("upper2");
         f.plan.target = f.scratch.directory("merged2");
         return "";
       },
       "belongs to another mount", "unmount that first"},
      {"other lowers than an indexed upper had",
       [](Fixture& f) -> std::string {
         if (private_namespace().user) return roots_alone;
         f.plan.options.index = true;
         f.backend.mount(f.plan);
         f.backend.unmount(f.plan.target.native());
         f.plan.lowers = {f.scratch.directory("l3"), f.scratch.directory("l4")};
         return "";
       },
       "on other layers", "the layers that it had"},
      {"the upper on an overlay",
       [](Fixture& f) {
         f.mount();
         f.upper_on(f.plan.target);
         f.plan.target = f.scratch.directory("merged2");
         return "";
       },
       "can't hold one", "ext4, xfs, btrfs or tmpfs"},
      {"the upper on a read-only filesystem",
       [](Fixture& f) {
         const fs::path place = f.scratch.directory("fs");
         f.mount_at(place, "tmpfs", 0, "x", nullptr);
         f.upper_on(place);
         REQUIRE(::mount(nullptr, place.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
         return "";
       },
       "read-only", "make it writable"},
      {"the upper on FUSE",
       [](Fixture& f) -> std::string {
         const fs::path place = f.scratch.directory("fuse");
         const std::string below = f.scratch.directory("below").native();
         const std::string command = "unionfs -o cow " + below + "=RW " + place.native() + " > /dev/null 2>&1";
         if (std::system(command.c_str()) != 0) return "no unionfs-fuse that this user can mount";
         f.mounted.push_back(place);
         f.upper_on(place);
         return "";
       },
       "lacks what overlay needs", "ext4, xfs, btrfs or tmpfs"},
      {"an overlay on an overlay on an overlay",
       [](Fixture& f) {
         for (const char* next : {"merged2", "merged3"}) {
           f.mount();
           const std::string name(next);
           f.plan.lowers[1] = f.plan.target;
           f.plan.upper = f.scratch.directory("upper-of-" + name);
           f.plan.work = f.scratch.directory("work-of-" + name);
           f.plan.target = f.scratch.directory(name);
         }
         return "";
       },
       "on an overlay that is on an overlay", "filesystem of their own"},
      {"/proc as a lower", [](Fixture& f) { return f.plan.lowers[1] = "/proc", ""; }, "such as /proc",
       "filesystem of their own"},
      {"more than 500 layers",
       [](Fixture& f) {
         f.plan.lowers.clear();
         for (int i = 0; i < 501; ++i) f.plan.lowers.push_back("/nowhere/" + std::to_string(i));
         return "";
       },
       "at most 500", "merge some"},
      {"a volatile upper mounted again",
       [](Fixture& f) {
         f.plan.options.is_volatile = true;
         f.backend.mount(f.plan);
         f.backend.unmount(f.plan.target.native());
         return "";
       },
       "volatile", "work/incompat"},
      {"a work directory that can't be made",
       [](Fixture& f) { return fs::create_directories(f.plan.work / "work/a/b/c/d"), ""; },
       "what is left in the work directory", "delete what is in"},
      {"a work directory on a filesystem without room",
       [](Fixture& f) {
         const fs::path place = f.scratch.directory("fs");
         f.mount_at(place, "tmpfs", 0, "x", "nr_inodes=3");
         return f.upper_on(place), "";
       },
       "filesystem is full", "make room"},
      {"metacopy=on with redirect_dir=nofollow",
       [](Fixture& f) -> std::string {
         f.plan.options.set("metacopy", "on");
         f.plan.options.set("redirect_dir", "nofollow");
         return private_namespace().user ? roots_alone : "";
       },
       "metacopy=on", "leave redirect_dir out"},
      {"nfs_export=on with metacopy=on",
       [](Fixture& f) -> std::string {
         f.plan.options.set("nfs_export", "on");
         f.plan.options.set("metacopy", "on");
         return private_namespace().user ? roots_alone : "";
       },
       "nfs_export=on with metacopy=on", "choose one"},
      {"nfs_export=on with index=off",
       [](Fixture& f) {
         f.plan.options.set("nfs_export", "on");
         return f.plan.options.set("index", "off"), "";
       },
       "nfs_export=on with index=off", "leave index out"},
      {"userxattr with redirect_dir=on",
       [](Fixture& f) {
         f.plan.form = UnionForm::overlay_user;
         return f.plan.options.set("redirect_dir", "on"), "";
       },
       "redirect_dir=on with userxattr", "overlay-trusted"},
      {"userxattr with metacopy=on",
       [](Fixture& f) {
         f.plan.form = UnionForm::overlay_user;
         return f.plan.options.set("metacopy", "on"), "";
       },
       "metacopy=on with userxattr", "overlay-trusted"},
      {"the form overlay-trusted in a user namespace",
       [](Fixture& f) -> std::string {
         f.plan.form = UnionForm::overlay_trusted;
         return private_namespace().user ? "" : "only users in a namespace meet it";
       },
       "from a user namespace", "mount as root"},
      {"the mount point is missing", [](Fixture& f) { return f.plan.target = f.scratch.root() / "absent", ""; }, "",
       "directory"},
  };
  return table;
}

/// What kernels write that strata gives no occasion to, or this one doesn't.
struct Unprovoked {
  const char* cause;
  int number;
  const char* said;  ///< by the kernel
  const char* detail;
  const char* remedy;
  const char* why;
};
const Unprovoked unprovoked[] = {
    {"an option that the kernel doesn't know", EINVAL, "Unknown parameter 'verity'", "doesn't know an option",
     "leave it out", "this kernel knows all options that a plan can have"},
    {"the same, of an older kernel", EINVAL, "unrecognized mount option \"uuid=auto\" or missing value",
     "doesn't know an option", "leave it out", "this kernel says it otherwise"},
    {"a value that the kernel doesn't know", EINVAL, "Bad value for 'uuid'", "a value of an option", "leave it out",
     "this kernel knows all values that a plan can have"},
    {"a lower after a data-only one", EINVAL, "regular lower layers cannot follow data layers", "the kernel says", "",
     "a plan has them apart, and they are given in order"},
    {"lowerdir+ after lowerdir", EINVAL, "lowerdir+ and datadir+ cannot follow lowerdir", "the kernel says", "",
     "the two are never mixed"},
    {"a colon at an end of lowerdir", EINVAL, "unescaped trailing colons in lowerdir mount option.", "the kernel says",
     "", "names are escaped"},
    {"data-only lowers without metacopy", EINVAL, "lower data-only dirs require metacopy support.", "with metacopy",
     "metacopy=on", "this kernel takes them"},
    {"redirect_dir=on, metacopy=on or verity=on in a user namespace without userxattr", EPERM, "", "", "",
     "a user namespace gets no plan in the form overlay-trusted"},
    {"an upper whose filesystem lacks something", EINVAL, "upper fs missing required features.", "lacks what overlay",
     "ext4, xfs, btrfs or tmpfs", "where there is a FUSE filesystem, it is provoked above"},
    {"no overlay in the kernel", ENODEV, "", "no overlay filesystem", "modprobe overlay", "this kernel has it"},
    {"a process without CAP_SYS_ADMIN", EPERM, "", "", "", "overlay_causes.cpp has it, in a process of its own"},
};

}  // namespace

TEST_CASE("each refusal of the table is provoked, by each way to mount, and says its cause and what to do") {
  STRATA_NEEDS_NAMESPACE
  for (const Row& row : rows()) {
    std::string outcome;
    for (const auto method : {Method::descriptors, Method::names, Method::classic}) {
      CAPTURE(row.cause, static_cast<int>(method));
      Fixture f(method);
      if (const std::string why = row.provoke(f); !why.empty()) {
        outcome = "not provoked: " + why;
        break;
      }
      const Error error = thrown([&] { f.backend.mount(f.plan); });
      CHECK_FALSE(table_entry(f.plan.target));
      CHECK_THAT(error.what(), Contains(row.detail));
      CHECK_THAT(error.remedy(), Contains(row.remedy));
      CHECK_FALSE(error.remedy().empty());
      if (outcome.empty()) outcome = error.what();
    }
    std::printf("%s: %s\n", row.cause, outcome.c_str());
  }
}

TEST_CASE("what can't be provoked is explained from the kernel's words") {
  STRATA_NEEDS_NAMESPACE
  for (const Unprovoked& row : unprovoked) {
    CAPTURE(row.cause);
    const Fixture f(Method::descriptors);
    const Error error = thrown([&] { strata::detail::throw_overlay_error(row.number, f.plan, row.said); });
    CHECK_THAT(error.detail(), Contains(row.said[0] ? quoted(row.said) : "") && Contains(row.detail));
    CHECK_THAT(error.remedy(), Contains(row.remedy));
    std::printf("%s: not provoked: %s\n", row.cause, row.why);
  }
}

TEST_CASE("an upper inside a lower, and one in use without an index, look like mistakes and are mounted") {
  STRATA_NEEDS_NAMESPACE
  for (const auto method : {Method::descriptors, Method::names, Method::classic}) {
    Fixture inside(method);
    inside.plan.upper = inside.plan.lowers[0] / "upper";
    inside.plan.work = inside.plan.lowers[0] / "work";
    fs::create_directory(inside.plan.upper);
    fs::create_directory(inside.plan.work);
    CHECK_NOTHROW(inside.mount());
    Fixture twice(method);
    twice.mount();
    twice.plan.target = twice.scratch.directory("merged2");
    CHECK_NOTHROW(twice.mount());
  }
}

TEST_CASE("where the kernel's log may be read, its own line is in the error") {
  STRATA_NEEDS_NAMESPACE
  const FileDescriptor log(::open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!log) {
    WARN("skipped: this user can't read the kernel's log");
    return;
  }
  Fixture f(Method::descriptors);
  f.plan.work = f.alias(f.plan.upper);
  CHECK_THAT(thrown([&] { f.backend.mount(f.plan); }).detail(),
             Contains("the kernel says") && Contains("separate subtrees"));
}
