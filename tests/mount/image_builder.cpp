#include <strata/error.hpp>
#include <strata/image_builder.hpp>

#include "support/errors.hpp"
#include "support/import_entries.hpp"
#include "support/mount_files.hpp"

#include <sys/stat.h>

#include <sys/wait.h>

#include <csignal>
#include <thread>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

constexpr const char* date = "2020-02-02T02:02:02Z";
constexpr std::time_t date_seconds = 1580608922;

struct Fixture {
  Scratch scratch;
  LayerStore<> store{scratch.root() / "store", {.durability = Durability::none}};
  LayerManager<> manager{store};
  fs::path app = scratch.directory("app");

  Fixture() {
    put(app / "run", "#!/bin/sh\n");
    ::chmod((app / "run").c_str(), 04755);
    fs::create_directory(app / "data");
    put(app / "data" / "file", "content");
    fs::create_symlink("../run", app / "data" / "link");
  }
  /// An image of one layer, as if it had been pulled.
  Image base(const std::vector<RawHeader>& entries = {{.path = "etc/", .type = '5', .mode = "0000700"},
                                                      {.path = "etc/conf", .content = "base"}}) {
    const Digest layer = import_entries(store, entries);
    ImageConfig config;
    config.platform = {.os = "linux", .architecture = "amd64"};
    config.config.env = {"PATH=/bin"};
    config.diff_ids = {store.get(layer).diff_id()};
    const Document document = config.document();
    ImageManifest manifest;
    manifest.config = document.descriptor();
    manifest.layers = {{.media_type = std::string(media_type::oci_layer),
                        .digest = store.get(layer).diff_id(),
                        .size = store.get(layer).tar_size}};
    return manager.images().add({.manifest = manifest.document(), .config = document, .name = "base"});
  }
  ImageBuilder builder(const char* from = "base") { return {manager, from}; }
  /// What an image shows, while this lives.
  MountedRoot mounted(const Image& image, const std::string& name) {
    return Mounter<>{store}.mount(image.layer, name, {.read_only = true});
  }
};

ImageBuilder& with_steps(ImageBuilder& builder, const fs::path& app, int* runs = nullptr) {
  builder.copy(app, "/srv/app", ::geteuid(), ::getegid());
  builder.run("configure", [runs](const fs::path& root) {
    if (runs) ++*runs;
    put(root / "srv/app/configured", "yes");
    fs::remove(root / "etc/conf");
  });
  builder.config([](ImageConfig& config) { config.config.cmd = {{"/srv/app/run"}}; });
  return builder;
}

ImageConfig config_of(const Image& image) { return ImageConfig::parse(image.config); }

}  // namespace

TEST_CASE("an image is built of copied files, of what a callback does, and of a changed config") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.base();
  auto builder = f.builder();
  const Image image = with_steps(builder, f.app).build("built:1", {.created = date, .author = "somebody"});
  const auto root = f.mounted(image, "look");
  CHECK(get(root.path() / "srv/app/data/file") == "content");
  CHECK(get(root.path() / "srv/app/configured") == "yes");
  CHECK(fs::read_symlink(root.path() / "srv/app/data/link") == "../run");
  CHECK_FALSE(fs::exists(root.path() / "etc/conf"));
  struct stat run {};
  REQUIRE(::stat((root.path() / "srv/app/run").c_str(), &run) == 0);
  CHECK((run.st_mode & 07777U) == 04755);

  const ImageConfig config = config_of(image);
  CHECK(config.created == date);
  CHECK(config.author == "somebody");
  CHECK(config.config.env == std::vector<std::string>{"PATH=/bin"});
  CHECK(config.config.cmd == std::vector<std::string>{"/srv/app/run"});
  CHECK(config.diff_ids.size() == 3);
  REQUIRE(config.history.size() == 3);
  CHECK_THAT(config.history[1].created_by, Catch::StartsWith("COPY ") && Catch::EndsWith("/app /srv/app"));
  CHECK(config.history[2].created_by == "RUN configure");
  CHECK(config.history[2].created == date);
  const ImageManifest manifest = ImageManifest::parse(image.manifest);
  check_image(manifest, config);
  CHECK(manifest.layers.back().digest == config.diff_ids.back());
  CHECK(f.manager.images().get("built:1").digest == image.digest);
}

TEST_CASE("two builds of two stores give the same image where their time is fixed, and no file is younger") {
  STRATA_NEEDS_NAMESPACE
  std::vector<Digest> built;
  for (int i = 0; i < 2; ++i) {
    Fixture f;
    f.base();
    // Of other files that are the same but for their times; the same path is in the history.
    fs::current_path(f.scratch.root());
    fs::last_write_time(f.app / "run", 1000000000 + i);
    auto builder = f.builder();
    const Image image = with_steps(builder, "app").build("built:1", {.created = date});
    built.push_back(image.digest);
    const auto root = f.mounted(image, "look");
    for (const char* path : {"srv", "srv/app", "srv/app/run", "srv/app/configured", "etc"})
      CHECK(fs::last_write_time(root.path() / path) <= date_seconds);
    fs::current_path("/");
  }
  CHECK(built[0] == built[1]);
}

TEST_CASE("a step is made once for a parent and a key, and anew where one of these is another") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.base();
  int runs = 0;
  std::vector<bool> cached;
  BuildOptions options{.on_step = [&](std::string_view, bool from_cache) { cached.push_back(from_cache); }};
  const auto build = [&] {
    cached.clear();
    auto builder = f.builder();
    return with_steps(builder, f.app, &runs).build("built:1", options).layer;
  };
  const Digest first = build();
  CHECK(cached == std::vector<bool>{false, false});
  CHECK(build() == first);
  CHECK(cached == std::vector<bool>{true, true});
  CHECK(runs == 1);

  SECTION("not where the cache isn't to be used") {
    options.use_cache = false;
    build();
    CHECK(cached == std::vector<bool>{false, false});
    CHECK(runs == 2);
  }
  SECTION("what is copied is another: this step and those behind it are made") {
    put(f.app / "data" / "file", "changed");
    CHECK(build() != first);
    CHECK(cached == std::vector<bool>{false, false});
  }
  SECTION("a mode is another") {
    ::chmod((f.app / "data" / "file").c_str(), 0600);
    build();
    CHECK(cached == std::vector<bool>{false, false});
  }
  SECTION("its layer is gone") {
    f.manager.images().remove(f.manager.images().get("built:1").digest);
    f.store.gc({.min_age = std::chrono::seconds(0)});
    build();
    CHECK(cached == std::vector<bool>{false, false});
    CHECK(runs == 2);
  }
}

TEST_CASE("what is copied stays beneath the root, wherever its links lead") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  const fs::path outside = f.scratch.directory("outside");
  f.base({{.path = "absolute", .type = '2', .link = outside.native()},
          {.path = "up", .type = '2', .link = "../../../../../../../../.." + outside.native()},
          {.path = "loop", .type = '2', .link = "loop"},
          {.path = "inside", .type = '2', .link = "real"},
          {.path = "real/", .type = '5', .mode = "0000711"},
          {.path = "real/data", .type = '2', .link = "../absolute"}});
  int looks = 0;
  for (const char* to : {"/absolute", "up", "/inside", "/new/../inside", "/../../../real"}) {
    CAPTURE(to);
    auto builder = f.builder();
    builder.copy(f.app, to, ::geteuid(), ::getegid());
    const Image image = builder.build("copied");
    CHECK(fs::is_empty(outside));
    const auto root = f.mounted(image, "look" + std::to_string(++looks));
    const bool within =
        std::string(to).find("real") != std::string::npos || std::string(to).find("inside") != std::string::npos;
    const fs::path place = within ? root.path() / "real" : root.path() / outside;
    CHECK(fs::exists(place / "run"));
    // A link of the root in the place of a directory that is copied leads where it says, in the root.
    CHECK(get((within ? root.path() / outside : place / "data") / "file") == "content");
    struct stat real {};
    REQUIRE(::stat((root.path() / "real").c_str(), &real) == 0);
    CHECK((real.st_mode & 07777U) == 0711);
  }
  auto builder = f.builder();
  builder.copy(f.app, "/loop", ::geteuid(), ::getegid());
  CHECK(thrown([&] { builder.build("copied"); }).code().value() == ELOOP);
}

TEST_CASE("a file is copied to its path, into a directory, or in place of another file, not of a directory") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.base({{.path = "etc/", .type = '5', .mode = "0000755"},
          {.path = "etc/conf", .content = "base"},
          {.path = "link", .type = '2', .link = "etc"},
          {.path = "full/run/", .type = '5', .mode = "0000755"}});
  put(f.app / "conf", "new");
  auto builder = f.builder();
  for (const char* to : {"/etc/conf", "/new/", "/link", "/etc/other"})
    builder.copy(f.app / "conf", to, ::geteuid(), ::getegid());
  const Image image = builder.build("copied");
  {
    const auto root = f.mounted(image, "look");
    for (const char* path : {"etc/conf", "new/conf", "etc/other"}) CHECK(get(root.path() / path) == "new");
    CHECK(fs::is_symlink(root.path() / "link"));
  }
  Mounter<>{f.store}.remove("look");
  auto refused = f.builder();
  refused.copy(f.app, "/full", ::geteuid(), ::getegid());
  CHECK(thrown([&] { refused.build("copied"); }).code() == errc::already_exists);
  REQUIRE(::mkfifo((f.app / "fifo").c_str(), 0600) == 0);
  auto fifo = f.builder();
  fifo.copy(f.app, "/x", ::geteuid(), ::getegid());
  CHECK(thrown([&] { fifo.build("copied"); }).code() == errc::unsupported);
}

TEST_CASE("a step that fails leaves no container and no image, and the steps before it as cache") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.base();
  bool copied = false;
  const auto build = [&](bool fails) {
    auto builder = f.builder();
    builder.copy(f.app, "/srv", ::geteuid(), ::getegid());
    builder.run("work", [&](const fs::path& root) {
      put(root / "half", "done");
      if (fails) throw std::runtime_error("no");
    });
    return builder.build("failing", {.on_step = [&](std::string_view step, bool cached) {
                           if (step.starts_with("copy")) copied = cached;
                         }});
  };
  CHECK_THROWS_WITH(build(true), "no");
  CHECK(AnyMounter{f.store}.list().empty());
  CHECK_FALSE(f.manager.images().find("failing"));
  CHECK(f.store.leases().empty());
  build(false);
  CHECK(copied);
  CHECK(AnyMounter{f.store}.list().empty());
}

TEST_CASE("a build is stopped by its token") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.base();
  std::stop_source stop;
  auto builder = f.builder();
  builder.run("first", [&](const fs::path&) { stop.request_stop(); });
  CHECK(thrown([&] { builder.build("stopped", {.control = {.stop = stop.get_token()}}); }).code() == errc::cancelled);
  CHECK(AnyMounter{f.store}.list().empty());
}

TEST_CASE("scratch is nothing: the first step makes the lowest layer") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  auto builder = f.builder("scratch");
  CHECK(thrown([&] { builder.build("empty"); }).code() == errc::bad_argument);
  builder.copy(f.app, "/", ::geteuid(), ::getegid());
  builder.run("more", [](const fs::path& root) { put(root / "more", "files"); });
  const Image image = builder.build("alone", {.created = date});
  CHECK(config_of(image).diff_ids.size() == 2);
  CHECK(f.store.chain(image.layer).size() == 2);
  CHECK(config_of(image).platform == Platform::host());
  const auto root = f.mounted(image, "look");
  CHECK(get(root.path() / "data/file") == "content");
  CHECK(get(root.path() / "more") == "files");
}

TEST_CASE("several builders at once give what one would") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.base();
  std::vector<Digest> built(4);
  {
    std::vector<std::jthread> threads;
    for (Digest& digest : built)
      threads.emplace_back([&f, &digest] {
        auto builder = f.builder();
        digest = with_steps(builder, f.app).build("built:1", {.created = date}).digest;
      });
  }
  for (const Digest& digest : built) CHECK(digest == built[0]);
  CHECK(AnyMounter{f.store}.list().empty());
}

TEST_CASE("the container of a killed build is removed by the next one, that of a living one isn't") {
  STRATA_NEEDS_NAMESPACE
  Fixture f;
  f.base();
  std::size_t seen = 0;
  const pid_t child = ::fork();
  if (child == 0) {
    auto builder = f.builder();
    builder.run("dies", [](const fs::path&) { ::kill(::getpid(), SIGKILL); });
    builder.build("killed");
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  CHECK(f.store.containers().size() == 1);
  auto outer = f.builder();
  outer.run("lives", [&](const fs::path& root) {
    auto inner = f.builder();
    inner.run("other", [](const fs::path& other) { put(other / "x", "x"); });
    inner.build("inner");
    seen = f.store.containers().size();
    put(root / "y", "y");
  });
  outer.build("outer");
  CHECK(seen == 1);
  CHECK(f.store.containers().empty());
}
