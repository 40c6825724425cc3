#include <strata/error.hpp>
#include <strata/mount_plan.hpp>

#include "support/catch.hpp"

#include <functional>

using namespace strata;

namespace {

MountPlan good_plan() {
  MountPlan plan;
  plan.lowers = {"/layers/2", "/layers/1"};
  plan.upper = "/c/upper";
  plan.work = "/c/work";
  plan.target = "/merged";
  return plan;
}

/// What validate() says of the plan after `change`; empty: nothing.
std::string refusal(const std::function<void(MountPlan&)>& change) {
  MountPlan plan = good_plan();
  change(plan);
  try {
    plan.validate();
  } catch (const Error& error) {
    CHECK(error.code() == errc::refused);
    CHECK_FALSE(error.remedy().empty());
    return error.what();
  }
  return {};
}

std::string refusal_of(const std::vector<std::pair<std::string, std::string>>& options,
                       UnionForm form = UnionForm::overlay_trusted) {
  return refusal([&](MountPlan& plan) {
    plan.form = form;
    for (const auto& [name, value] : options) plan.options.set(name, value);
  });
}

using Catch::Contains;

}  // namespace

TEST_CASE("a whole plan is good, read-only or not") {
  CHECK(refusal([](MountPlan&) {}).empty());
  CHECK(refusal([](MountPlan& plan) { plan.upper = plan.work = ""; }).empty());
  CHECK(refusal([](MountPlan& plan) { plan.read_only = true; }).empty());
  CHECK(refusal([](MountPlan& plan) { plan.lowers = {"a", "b"}; }).empty());
}

TEST_CASE("what a plan lacks is named") {
  CHECK_THAT(refusal([](MountPlan& plan) { plan.lowers.clear(); }), Contains("no lower"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.lowers[1] = ""; }), Contains("a lower is empty"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.work = ""; }), Contains("an upper but no work"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.upper = ""; }), Contains("a work but no upper"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.target = ""; }), Contains("target is empty"));
}

TEST_CASE("directories that are the same or inside each other are named") {
  CHECK_THAT(refusal([](MountPlan& plan) { plan.lowers.push_back("/layers/2"); }),
             Contains("'/layers/2' is there twice"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.lowers.push_back("/layers//x/../2/"); }), Contains("twice"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.lowers.push_back("/layers/2/sub"); }),
             Contains("'/layers/2/sub' is inside lower '/layers/2'"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.work = plan.upper; }), Contains("are the same"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.work = "/c/upper/work"; }), Contains("inside the other"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.upper = plan.work / "upper"; }), Contains("inside the other"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.upper = "/layers/1"; }), Contains("lower '/layers/1' is upper"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.upper = "/layers"; }), Contains("lower '/layers/1' is upper"));
}

TEST_CASE("names that only begin alike are not inside each other") {
  CHECK(refusal([](MountPlan& plan) {
          plan.lowers = {"/l/a", "/l/a.b", "/l/a b", "/l/a-b/c", "/l/ab"};
          plan.upper = "/l/a.b.c";
        }).empty());
  // An upper inside a lower is legal for the kernel.
  CHECK(refusal([](MountPlan& plan) { plan.upper = "/layers/1/upper"; }).empty());
}

TEST_CASE("a NUL byte, with which a path would end early, is refused") {
  CHECK_THAT(refusal([](MountPlan& plan) { plan.lowers[0] = std::string("/a\0b", 4); }), Contains("NUL"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.target = std::string("/a\0b", 4); }), Contains("NUL"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.source = std::string("a\0b", 3); }), Contains("NUL"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.source = std::string(256, 'a'); }), Contains("255"));
}

TEST_CASE("options in conflict are refused by their names") {
  const auto user = UnionForm::overlay_user;
  CHECK_THAT(refusal_of({{"metacopy", "on"}, {"redirect_dir", "follow"}}),
             Contains("metacopy") && Contains("redirect_dir"));
  CHECK_THAT(refusal_of({{"metacopy", "on"}, {"redirect_dir", "off"}}), Contains("metacopy"));
  CHECK_THAT(refusal_of({{"nfs_export", "on"}, {"metacopy", "on"}}), Contains("nfs_export") && Contains("metacopy"));
  CHECK_THAT(refusal_of({{"nfs_export", "on"}, {"index", "off"}}), Contains("nfs_export") && Contains("index"));
  CHECK_THAT(refusal_of({{"redirect_dir", "on"}}, user), Contains("redirect_dir") && Contains("userxattr"));
  CHECK_THAT(refusal_of({{"metacopy", "on"}}, user), Contains("metacopy") && Contains("userxattr"));
  CHECK_THAT(refusal_of({{"userxattr", "off"}}, user), Contains("userxattr"));
  CHECK_THAT(refusal_of({{"userxattr", "on"}}), Contains("userxattr"));
  CHECK_THAT(refusal([](MountPlan& plan) {
               plan.upper = plan.work = "";
               plan.options.is_volatile = true;
             }),
             Contains("volatile without an upper"));
}

TEST_CASE("options that go together are let through") {
  CHECK(refusal_of({{"metacopy", "on"}, {"redirect_dir", "on"}}).empty());
  CHECK(refusal_of({{"metacopy", "on"}}).empty());
  CHECK(refusal_of({{"nfs_export", "on"}, {"index", "on"}}).empty());
  CHECK(refusal_of({{"verity", "require"}, {"metacopy", "off"}}).empty());
  CHECK(refusal_of({{"redirect_dir", "nofollow"}, {"metacopy", "off"}, {"userxattr", ""}}, UnionForm::overlay_user)
            .empty());
}

TEST_CASE("options are set from text and spelled as the kernel spells them, in one order") {
  OverlayOptions options;
  CHECK(options.spelled().empty());
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{{"volatile", ""},
                                                                                    {"userxattr", "on"},
                                                                                    {"verity", "require"},
                                                                                    {"uuid", "null"},
                                                                                    {"nfs_export", "off"},
                                                                                    {"metacopy", "off"},
                                                                                    {"xino", "auto"},
                                                                                    {"index", "on"},
                                                                                    {"redirect_dir", "nofollow"}})
    options.set(name, value);
  std::string text;
  for (const auto& [name, value] : options.spelled()) text += name + (value.empty() ? "" : "=" + value) + " ";
  CHECK(text ==
        "redirect_dir=nofollow index=on xino=auto metacopy=off nfs_export=off uuid=null verity=require userxattr "
        "volatile ");
  options.set("volatile", "off");
  options.set("userxattr", "off");
  CHECK(options.spelled().size() == 7);
}

TEST_CASE("an option or value that doesn't exist is shown with those that do") {
  OverlayOptions options;
  const auto said = [&](const char* name, const char* value) -> std::string {
    try {
      options.set(name, value);
    } catch (const Error& error) {
      CHECK(error.code() == errc::bad_argument);
      return error.what();
    }
    return {};
  };
  CHECK_THAT(said("colour", "on"), Contains("'colour'") && Contains("redirect_dir, index") && Contains("volatile"));
  CHECK_THAT(said("index", "maybe"), Contains("'maybe'") && Contains("on, off"));
  CHECK_THAT(said("index", ""), Contains("on, off"));
  CHECK_THAT(said("redirect_dir", "auto"), Contains("on, off, follow, nofollow"));
  CHECK_THAT(said("volatile", "yes"), Contains("on, off"));
  CHECK(options.spelled().empty());
}

TEST_CASE("data-only lowers are checked as the lowers are") {
  CHECK(refusal([](MountPlan& plan) { plan.data_only = {"/data/1", "/data/2"}; }).empty());
  CHECK_THAT(refusal([](MountPlan& plan) { plan.data_only = {""}; }), Contains("a data-only lower is empty"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.data_only = {"/layers/2"}; }), Contains("there twice"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.data_only = {"/layers/1/objects"}; }), Contains("inside"));
  CHECK_THAT(refusal([](MountPlan& plan) { plan.data_only = {"/c/upper"}; }), Contains("upper"));
}

TEST_CASE("a plan of a detached mount has no target, and is checked as any other") {
  MountPlan plan = good_plan();
  CHECK_THROWS_AS(plan.validate_detached(), Error);
  plan.target.clear();
  CHECK_NOTHROW(plan.validate_detached());
  plan.work.clear();
  CHECK_THROWS_AS(plan.validate_detached(), Error);
}
