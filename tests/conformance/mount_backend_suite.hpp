// What every mount backend must do. A model's test includes this, and calls mount_backend_suite in one test case
// that makes the backend (see mount_backend.cpp).
#pragma once

#include <strata/concepts.hpp>
#include <strata/error.hpp>
#include <strata/hash.hpp>
#include <strata/mount_plan.hpp>

#include "conformance/backend_table.hpp"
#include "support/catch.hpp"
#include "support/mount_files.hpp"
#include "tree/merged_view.hpp"
#include "tree/translate.hpp"

#include <boost/filesystem.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

namespace strata::test {

/// Whether it makes a directory of all that there is, instead of a union.
template <MountBackend Backend>
constexpr bool is_whole = [] {
  if constexpr (requires { Backend::whole; })
    return Backend::whole;
  else
    return false;
}();

template <MountBackend Backend>
UnionForm written_form(const Backend& backend, UnionForm form) {
  if constexpr (requires { backend.writes(form); })
    return backend.writes(form);
  else
    return form;
}

/// What a union marks an opaque directory with.
template <MountBackend Backend>
std::string opaque_attribute(UnionForm form) {
  if (Backend::name == "fuse-overlayfs" && form == UnionForm::overlay_user) return "user.fuseoverlayfs.opaque";
  return std::string(overlay_prefix(form)) + "opaque";
}

/// Whether the upper hides a name of the lowers, in whatever form it says so.
template <MountBackend Backend>
bool hides(const Backend& backend, const MountPlan& plan, const std::string& name) {
  if constexpr (is_whole<Backend>) return !boost::filesystem::exists(plan.upper / name);
  const UnionForm form = written_form(backend, plan.form);
  if (form == plan.form || form == UnionForm::fuse_overlayfs) return is_whiteout(plan.upper / name);
  return !::strata::detail::stacked(plan.upper, form, plan.lowers, plan.form).find(name);
}

/// A plan whose lowers are in a form that the backend reads, made in `place` where theirs isn't.
template <MountBackend Backend>
MountPlan readable(const Backend& backend, MountPlan plan, const boost::filesystem::path& place) {
  if (backend.reads(plan.form)) return plan;
  const auto form = std::ranges::find_if(all_union_forms, [&](UnionForm one) { return backend.reads(one); });
  REQUIRE(form != all_union_forms.end());
  boost::filesystem::remove_all(place);
  boost::filesystem::create_directory(place);
  for (std::size_t i = 0; i < plan.lowers.size(); ++i) {
    const boost::filesystem::path translated = place / std::to_string(i);
    boost::filesystem::create_directory(translated);
    ::strata::detail::translate_tree(plan.lowers[i], plan.form, translated, *form);
    plan.lowers[i] = translated;
  }
  plan.form = *form;
  return plan;
}

/// Names for the lowers, as a store would give them.
inline void name_lowers(MountPlan& plan) {
  plan.chain.clear();
  for (const auto& lower : plan.lowers) {
    Sha256 hash;
    hash.update(std::as_bytes(std::span(lower.native())));
    std::byte digest[Sha256::digest_size];
    hash.finish(digest);
    plan.chain.emplace_back("sha256", digest);
  }
}

/// `place`: where it is to work.
template <MountBackend Backend>
void mount_backend_suite(const Backend& backend, const boost::filesystem::path& place = private_namespace().place) {
  namespace fs = boost::filesystem;
  constexpr bool whole = is_whole<Backend>;
  const UnionForm form = private_namespace().user ? UnionForm::overlay_user : UnionForm::overlay_trusted;
  REQUIRE(backend.probe().usable);

  const Scratch scratch(place);
  const Unmounted unmounted(scratch.root());
  MountPlan plan;
  plan.kept = scratch.root() / "snapshots";
  plan.form = form;
  plan.lowers = {scratch.directory("top"), scratch.directory("base")};
  plan.upper = scratch.root() / "upper";
  if (!whole) fs::create_directory(plan.upper);
  plan.work = scratch.directory("work");
  plan.target = scratch.directory("merged");
  const fs::path top = plan.lowers[0];
  const fs::path base = plan.lowers[1];
  const fs::path& merged = plan.target;
  put(base / "kept", "base");
  put(base / "covered", "base");
  put(top / "covered", "top");
  fs::create_directory(base / "dir");
  put(base / "dir/below", "base");
  const auto mounted = [&] {
    name_lowers(plan);
    return Mounted<Backend>(backend, readable(backend, plan, scratch.root() / "translated"));
  };
  constexpr bool overlays = Backend::name == "overlay" || Backend::name == "fuse-overlayfs";
  name_lowers(plan);

  SECTION("the topmost layer wins, and names of all layers are merged") {
    const auto mount = mounted();
    CHECK(get(merged / "covered") == "top");
    CHECK(get(merged / "kept") == "base");
    CHECK(names(merged) == "covered dir kept");
    const auto entry = table_entry(merged);
    REQUIRE(entry);
    if (!whole) CHECK(entry->source == "strata");
    CHECK_FALSE(entry->read_only);
  }
  SECTION("writing goes to the upper and leaves the layers alone") {
    {
      const auto mount = mounted();
      put(merged / "kept", "changed");
      put(merged / "new", "new");
      fs::permissions(merged / "covered", fs::perms(0600));
      CHECK(get(merged / "kept") == "changed");
    }
    CHECK(get(base / "kept") == "base");
    CHECK(get(plan.upper / "kept") == "changed");
    CHECK(get(plan.upper / "new") == "new");
    CHECK(get(plan.upper / "covered") == "top");
    CHECK(fs::status(top / "covered").permissions() == fs::perms(0644));
  }
  SECTION("a deletion hides, lasts over a remount, and is a whiteout in the upper of a union") {
    {
      const auto mount = mounted();
      fs::remove(merged / "kept");
      CHECK_FALSE(fs::exists(merged / "kept"));
    }
    CHECK(hides(backend, plan, "kept"));
    const auto again = mounted();
    CHECK(names(merged) == "covered dir");
  }
  SECTION("a directory that is deleted and made again is empty, and opaque in the upper of a union") {
    {
      const auto mount = mounted();
      fs::remove_all(merged / "dir");
      fs::create_directory(merged / "dir");
      CHECK(names(merged / "dir").empty());
    }
    if (overlays) CHECK(attribute(plan.upper / "dir", opaque_attribute<Backend>(form)) == "y");
    const auto again = mounted();
    CHECK(names(merged / "dir").empty());
  }
  SECTION("whiteouts and opaque directories of layers are seen") {
    make_whiteout(top / "kept");
    fs::create_directory(top / "dir");
    put(top / "dir/above", "top");
    set_attribute(top / "dir", std::string(overlay_prefix(form)) + "opaque", "y");
    const auto mount = mounted();
    CHECK(names(merged) == "covered dir");
    CHECK(names(merged / "dir") == "above");
  }
  SECTION("files and directories can be renamed") {
    {
      const auto mount = mounted();
      fs::rename(merged / "kept", merged / "renamed");
      // A merged directory may refuse (EXDEV), as programs know from other filesystems; it must not lose anything.
      boost::system::error_code refused;
      fs::rename(merged / "dir", merged / "moved", refused);
      CHECK((!refused || refused == boost::system::errc::cross_device_link));
      CHECK(get(merged / (refused ? "dir/below" : "moved/below")) == "base");
      fs::create_directory(merged / "own");
      fs::rename(merged / "own", merged / "own2");
    }
    CHECK(get(plan.upper / "renamed") == "base");
    const auto again = mounted();
    CHECK(get(merged / "renamed") == "base");
    CHECK_FALSE(fs::exists(merged / "kept"));
    CHECK(fs::exists(merged / "own2"));
  }
  SECTION("links, symlinks and attributes are kept") {
    {
      const auto mount = mounted();
      fs::create_hard_link(merged / "kept", merged / "link");
      put(merged / "link", "both");
      fs::create_symlink("kept", merged / "symlink");
      if (Backend::name == "unionfs-fuse")
        unsupported("it shows no extended attributes, and each name of a file with an inode of its own");
      else
        set_attribute(merged / "kept", "user.note", std::string("a\0b", 3));
    }
    const auto again = mounted();
    CHECK(get(merged / "kept") == "both");
    if (Backend::name != "unionfs-fuse") CHECK(inode(merged / "kept") == inode(merged / "link"));
    CHECK(fs::read_symlink(merged / "symlink") == "kept");
    if (Backend::name != "unionfs-fuse") CHECK(attribute(merged / "kept", "user.note") == std::string("a\0b", 3));
  }
  SECTION("without an upper it can be read and not written") {
    plan.upper.clear();
    plan.work.clear();
    plan.read_only = true;
    if (whole) {
      unsupported("it makes its upper");
      CHECK(thrown([&] { backend.mount(plan); }).code() == errc::refused);
      return;
    }
    const auto mount = mounted();
    CHECK(get(merged / "covered") == "top");
    CHECK(write_error(merged / "new") == EROFS);
    CHECK(table_entry(merged)->read_only);
  }
  SECTION("a plan with an upper can be mounted read-only, and shows what the upper has") {
    if (whole) mounted();
    put(plan.upper / "kept", "upper");
    plan.read_only = true;
    const auto mount = mounted();
    CHECK(get(merged / "kept") == "upper");
    CHECK(write_error(merged / "kept") == EROFS);
  }
  SECTION("five hundred layers (fifty thin devices)") {
    // Of a backend to which each is a mount a tenth says as much.
    const int count = Backend::name == "devicemapper" ? 50 : 500;
    plan.lowers.clear();
    for (int i = 0; i < count; ++i) {
      plan.lowers.push_back(scratch.directory("layer-with-a-long-name-" + std::string(60, 'x') + std::to_string(i)));
      put(plan.lowers.back() / "number", std::to_string(i));
      put(plan.lowers.back() / ("only" + std::to_string(i)), "");
    }
    const auto mount = mounted();
    CHECK(get(merged / "number") == "0");
    CHECK(fs::exists(merged / "only0"));
    CHECK(fs::exists(merged / ("only" + std::to_string(count - 1))));
    put(merged / "number", "new");
    CHECK(get(plan.upper / "number") == "new");
  }
  SECTION("any byte may be in a path") {
    const std::string odd[] = {"a:b",      "a,b",       "a\\b",       "a b", "a\nb",           "a\tb",
                               "\xff\xfe", "a\\:b\\,c", "lowerdir=x", "#x",  "a:b,upperdir=c", std::string(250, 'n'),
                               "'\"$(x)"};
    for (const std::string& name : odd) {
      CAPTURE(name);
      const fs::path home = scratch.directory(name);
      for (const char* part : {"top", "base", "work", "merged"}) fs::create_directory(home / part);
      if (!whole) fs::create_directory(home / "upper");
      put(home / "top/from", "top");
      put(home / "base/base", "base");
      MountPlan odd_plan = plan;
      odd_plan.lowers = {home / "top", home / "base"};
      odd_plan.upper = home / "upper";
      odd_plan.work = home / "work";
      odd_plan.target = home / "merged";
      name_lowers(odd_plan);
      if (Backend::name == "fuse-overlayfs" && name.find(':') != std::string::npos) {
        unsupported("it takes no upper in whose path there is a ':'");
        CHECK(thrown([&] { backend.mount(odd_plan); }).code() == errc::unsupported);
        continue;
      }
      {
        const Mounted<Backend> mount(backend, readable(backend, odd_plan, scratch.root() / "translated"));
        CHECK(names(odd_plan.target) == "base from");
        CHECK(table_entry(odd_plan.target));
        put(odd_plan.target / "new", "new");
      }
      CHECK(get(home / "upper/new") == "new");
    }
  }
  SECTION("relative paths count from the working directory, which stays as it is") {
    const auto before = fs::current_path();
    fs::current_path(scratch.root());
    plan.lowers = {"top", "base"};
    plan.upper = "upper";
    plan.work = "work";
    plan.target = "merged";
    {
      const auto mount = mounted();
      CHECK(get(scratch.root() / "merged/kept") == "base");
      CHECK(fs::current_path() == scratch.root());
    }
    fs::current_path(before);
  }
  SECTION("a busy mount can't be unmounted, and the error names who uses it") {
    backend.mount(readable(backend, plan, scratch.root() / "translated"));
    {
      const FileDescriptor held(::open((merged / "kept").c_str(), O_RDONLY | O_CLOEXEC));
      const Error error = thrown([&] { backend.unmount(merged.native()); });
      CHECK(error.code() == errc::in_use);
      CHECK_THAT(error.what(), Catch::Contains(std::to_string(::getpid())) && Catch::Contains("kept' open"));
      CHECK(table_entry(merged));
    }
    backend.unmount(merged.native());
    CHECK_FALSE(table_entry(merged));
  }
  SECTION("what is not mounted can't be unmounted") {
    CHECK(thrown([&] { backend.unmount(merged.native()); }).code() == errc::not_found);
    CHECK(thrown([&] { backend.unmount((scratch.root() / "absent").native()); }).code() == errc::not_found);
  }
  SECTION("what is absent, or no directory, is named") {
    const auto failing = [&](const MountPlan& bad) { return thrown([&] { backend.mount(bad); }); };
    const MountPlan good = readable(backend, plan, scratch.root() / "translated");
    MountPlan bad = good;
    bad.lowers[1] = scratch.root() / "absent";
    CHECK(failing(bad).code() == errc::not_found);
    CHECK_THAT(failing(bad).what(), Catch::Contains("absent"));
    bad.lowers[1] = base / "kept";
    CHECK_THAT(failing(bad).what(), Catch::Contains("base/kept"));
    bad = good;
    bad.target = scratch.root() / "no-target";
    CHECK_THAT(failing(bad).what(), Catch::Contains("no-target"));
    CHECK_FALSE(table_entry(bad.target));
  }
  SECTION("a mount that can't be written although it was to be is an error, and nothing stays mounted") {
    if (Backend::name != "overlay") return unsupported("it has no work directory that could be spoilt");
    // The kernel can't empty this work directory (it looks only two levels deep), mounts read-only and says success.
    fs::create_directories(plan.work / "work/a/b/c/d");
    const Error error = thrown([&] { backend.mount(plan); });
    CHECK(error.code().value() == EROFS);
    CHECK_THAT(error.what(), Catch::Contains("work directory"));
    CHECK_FALSE(table_entry(merged));
  }
  SECTION("the times and owner of the upper, or of the topmost layer of no union, make the root's") {
    fs::permissions(whole ? top : plan.upper, fs::perms(0751));
    fs::last_write_time(whole ? top : plan.upper, 1234567890);
    const auto mount = mounted();
    CHECK(fs::status(merged).permissions() == fs::perms(0751));
    CHECK(fs::last_write_time(merged) == 1234567890);
  }
}

}  // namespace strata::test
