// What is done with images once they are there: mounted, changed, committed, pushed, pruned.
#include <strata/layer_manager.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/managed_store.hpp"

#include <boost/filesystem/fstream.hpp>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;
using std::chrono::seconds;

namespace {

struct Fixture : ManagedStore {
  FakeNetwork network{noisy_image({1, 2})};
  std::string asked = {};  ///< of the opener
  FakeManager online{store, Mounter<Copy>(store), FakeSources{[this](std::string_view name) {
                       asked = std::string(name);
                       return AnySource(FakeSource(network));
                     }}};
  const PrepareOptions squashed{.pull = {.when = PullOptions::When::missing, .owners = Owners::squash}};

  /// A container of an image, with a file more.
  void change(const std::string& image, const std::string& container) {
    auto mounted = online.prepare(image, container, squashed);
    fs::ofstream(mounted.path() / "new") << "by " << container;
    mounted.unmount();
  }
  void drop(const std::string& container) { Mounter<Copy>(store).remove(container); }
};

}  // namespace

TEST_CASE("prepare pulls an image that is missing, mounts it, and asks nobody where it is there") {
  Fixture f;
  {
    const auto root = f.online.prepare("docker://example.org/app:1", "c", f.squashed);
    CHECK(fs::exists(root.path() / "file1"));
    CHECK(fs::exists(root.path() / "file2"));
  }
  CHECK(f.asked == "docker://example.org/app:1");
  f.asked.clear();
  const Image image = f.online.images().get("example.org/app:1");
  for (const std::string& what :
       {std::string("example.org/app:1"), image.digest.to_string(), image.layer.to_string()}) {
    CAPTURE(what);
    const auto root = f.online.prepare(what, "d", f.squashed);
    CHECK(root.container().layer == image.layer);
  }
  CHECK(f.asked.empty());
  CHECK(f.online.images().get("example.org/app:1").used > image.used);
  CHECK(f.store.leases().empty());
  PrepareOptions never = f.squashed;
  never.pull.when = PullOptions::When::never;
  CHECK(fails_with(errc::not_found, [&] { (void)f.online.prepare("example.org/other", "e", never); }));
  CHECK(f.asked.empty());
  f.drop("c");
  f.drop("d");
}

TEST_CASE("pull by name names the image by its reference, and asks nobody where it need not") {
  Fixture f;
  PullOptions options{.owners = Owners::squash};
  CHECK(f.online.pull("debian:12", options).names == std::vector<std::string>{"docker.io/library/debian:12"});
  options.name = "mine";
  CHECK(f.online.pull("debian:12", options).names.size() == 2);
  f.asked.clear();
  options.when = PullOptions::When::missing;
  f.online.pull("debian:12", options);
  CHECK(f.asked.empty());
  options.when = PullOptions::When::always;
  f.online.pull("debian:12", options);
  CHECK(f.asked == "debian:12");
}

TEST_CASE("A container of an image is committed as that image with a layer more") {
  Fixture f;
  f.change("example.org/app:1", "c");
  const Image base = f.online.images().get("example.org/app:1");
  const Image made = f.online.commit("c", {.name = "made",
                                           .author = "me",
                                           .comment = "why",
                                           .created_by = "how",
                                           .created = "2024-05-05T00:00:00Z",
                                           .change = [](ImageConfig& config) { config.config.cmd = {{"/new"}}; }});
  CHECK(made.made);
  CHECK(made.names == std::vector<std::string>{"made"});
  const ImageManifest before = ImageManifest::parse(base.manifest), after = ImageManifest::parse(made.manifest);
  REQUIRE(after.layers.size() == 3);
  CHECK(std::equal(before.layers.begin(), before.layers.end(), after.layers.begin()));
  const Layer top = f.store.get(made.layer);
  CHECK(after.layers[2].digest == top.diff_id());
  CHECK(after.layers[2].size == top.tar_size);
  CHECK(after.layers[2].media_type == media_type::oci_layer);
  CHECK(top.author == "me");
  CHECK(top.parent == base.layer);
  const ImageConfig config = ImageConfig::parse(made.config);
  CHECK(config.diff_ids == top.diff_ids);
  CHECK(config.created == "2024-05-05T00:00:00Z");
  CHECK(config.config.cmd == std::vector<std::string>{"/new"});
  const HistoryEntry last = config.history_of_layers().at(2);
  CHECK(last.created_by == "how");
  CHECK(last.comment == "why");
  check_image(after, config);
  CHECK(f.store.leases().empty());

  SECTION("the same again is the same image") {
    const Image again = f.online.commit("c", {.author = "me",
                                              .comment = "why",
                                              .created_by = "how",
                                              .created = "2024-05-05T00:00:00Z",
                                              .change = [](ImageConfig& c) { c.config.cmd = {{"/new"}}; }});
    CHECK(again.digest == made.digest);
    CHECK(again.names.size() == 1);
  }
  SECTION("pushed, it is compressed, always the same, and nobody does it twice") {
    const auto compress = GENERATE(PushOptions::Compress::gzip, PushOptions::Compress::zstd);
    TakenImage taken, other;
    const Document pushed = f.online.push("made", AnySink(FakeSink(taken)), {.compress = compress});
    const ImageManifest written = ImageManifest::parse(pushed);
    CHECK(std::equal(before.layers.begin(), before.layers.end(), written.layers.begin()));
    CHECK(written.layers[2].media_type ==
          (compress == PushOptions::Compress::gzip ? media_type::oci_layer_gzip : media_type::oci_layer_zstd));
    CHECK(written.config.digest == made.config.digest);
    CHECK(taken.blobs.size() == 4);
    CHECK(taken.top == pushed);
    CHECK(f.online.push("made", AnySink(FakeSink(other)), {.compress = compress, .transfers = 1}) == pushed);
    const int puts = taken.puts;
    CHECK(f.online.push("made", AnySink(FakeSink(taken)), {.compress = compress}) == pushed);
    CHECK(taken.puts == puts);
    CHECK(f.faults() == "");

    // What was pushed is the image again.
    MadeImage back;
    back.top = pushed;
    back.blobs = taken.blobs;
    FakeNetwork registry(back);
    ManagedStore elsewhere;
    CHECK(elsewhere.pull(registry).layer == made.layer);
  }
  SECTION("or not compressed, byte for byte") {
    TakenImage taken;
    CHECK(f.online.push("made", AnySink(FakeSink(taken)), {.compress = PushOptions::Compress::none}) == made.manifest);
  }
  f.drop("c");
}

TEST_CASE("A commit on an image of docker's kind stays of that kind") {
  Fixture f;
  MadeImage image = noisy_image({1});
  image.config.media_type = media_type::docker_config;
  const Document config = image.config.document();
  image.blobs[config.digest] = config.bytes;
  image.manifest.media_type = media_type::docker_manifest;
  image.manifest.config = config.descriptor();
  image.manifest.layers[0].media_type = media_type::docker_layer_gzip;
  image.top = image.manifest.document();
  f.network.image = image;
  f.change("app", "c");
  const ImageManifest made = ImageManifest::parse(f.online.commit("c", {.name = "made"}).manifest);
  CHECK(made.media_type == media_type::docker_manifest);
  CHECK(made.config.media_type == media_type::docker_config);
  CHECK(made.layers[1].media_type == media_type::docker_layer);
  TakenImage taken;
  CHECK(fails_with(errc::unsupported, [&] {
    f.online.push("made", AnySink(FakeSink(taken)), {.compress = PushOptions::Compress::zstd});
  }));
  CHECK_FALSE(taken.top);
  const Document pushed = f.online.push("made", AnySink(FakeSink(taken)));
  CHECK(ImageManifest::parse(pushed).layers[1].media_type == media_type::docker_layer_gzip);
  f.drop("c");
}

TEST_CASE("A container on a layer of no image is committed with all that the store knows") {
  Fixture f;
  const Digest base = f.import("base");
  f.change(base.to_string(), "c");
  const Image made = f.online.commit("c", {.name = "made", .created = "2024-05-05T00:00:00Z"});
  const ImageConfig config = ImageConfig::parse(made.config);
  CHECK(config.diff_ids.size() == 2);
  CHECK(config.history.size() == 2);
  CHECK(config.platform == Platform::host());
  TakenImage taken;
  const ImageManifest pushed = ImageManifest::parse(f.online.push("made", AnySink(FakeSink(taken))));
  for (const Descriptor& layer : pushed.layers) CHECK(layer.media_type == media_type::oci_layer_gzip);
  CHECK(fails_with(errc::not_found, [&] { f.online.commit("none"); }));
  CHECK(fails_with(errc::not_found, [&] { f.online.push("none", AnySink(FakeSink(taken))); }));
  f.drop("c");
}

TEST_CASE("What can't be pushed, since its blobs weren't kept, says so, unless the sink has them") {
  Fixture f;
  f.pull(f.network, "app", {.keep_blobs = false});
  TakenImage taken;
  CHECK(fails_with(errc::not_found, [&] { f.manager.push("app", AnySink(FakeSink(taken))); }));
  CHECK_FALSE(taken.top);
  taken.blobs = f.network.image.blobs;
  CHECK(f.manager.push("app", AnySink(FakeSink(taken))) == f.network.image.top);
  CHECK(taken.puts == 0);
}

TEST_CASE("Layers whose blobs weren't kept are compressed anew where that is asked for, the same each time") {
  using Compress = PushOptions::Compress;
  const Compress compress = GENERATE(Compress::gzip, Compress::zstd, Compress::none);
  Fixture f;
  const Image image = f.pull(f.network, "app", {.keep_blobs = false});
  TakenImage taken, again;
  const PushOptions options{.compress = compress, .recompress = true};
  const Document pushed = f.manager.push("app", AnySink(FakeSink(taken)), options);
  CHECK((pushed.digest == image.digest) == (compress == Compress::gzip));  // by which the same encoder made it
  const ImageManifest manifest = ImageManifest::parse(pushed);
  CHECK(manifest.config == ImageManifest::parse(image.manifest).config);
  const std::string_view type = compress == Compress::gzip   ? media_type::oci_layer_gzip
                                : compress == Compress::zstd ? media_type::oci_layer_zstd
                                                             : media_type::oci_layer;
  for (const Descriptor& layer : manifest.layers) {
    CHECK(layer.media_type == type);
    CHECK(taken.blobs.at(layer.digest).size() == layer.size);
  }
  CHECK(f.manager.push("app", AnySink(FakeSink(again)), options) == pushed);

  // What a store makes of it, is the same layers.
  FakeNetwork network(f.network.image);
  network.image.top = pushed;
  network.image.manifest = manifest;
  for (const auto& [digest, bytes] : taken.blobs) network.image.blobs[digest] = bytes;
  ManagedStore other;
  CHECK(other.pull(network).layer == image.layer);
  CHECK(other.faults() == "");

  // Where the blobs are there, there is nothing to make.
  f.pull(f.network, "app");
  TakenImage faithful;
  CHECK(f.manager.push("app", AnySink(FakeSink(faithful)), options) == image.manifest);
}

TEST_CASE("prune removes images without a name, or all without a container, and says what it would") {
  Fixture f;
  FakeNetwork one(noisy_image({1, 2})), two(noisy_image({1, 3})), three(noisy_image({4}));
  f.pull(one, "one");
  f.pull(two, "two");
  f.pull(three, "three");
  f.store.untag("three");
  auto root = f.online.prepare("one", "c", f.squashed);
  CHECK(f.manager.prune().images.empty());  // too young
  const auto told = f.manager.prune({.dry_run = true, .min_age = seconds(0)});
  CHECK(told.images.size() == 1);
  CHECK(told.rest.layers.size() == 1);
  CHECK(f.manager.images().list().size() == 3);
  CHECK(f.manager.prune({.min_age = seconds(0)}).images.size() == 1);
  const auto all = f.manager.prune({.all = true, .dry_run = true, .min_age = seconds(0)});
  const auto done = f.manager.prune({.all = true, .min_age = seconds(0)});
  REQUIRE(done.images.size() == 1);
  CHECK(done.images[0].names == std::vector<std::string>{"two"});
  CHECK(done.rest.layers == all.rest.layers);
  CHECK(done.rest.exclusive_bytes == all.rest.exclusive_bytes);
  CHECK(f.manager.images().list().size() == 1);
  CHECK(f.store.tags().size() == 1);
  CHECK(f.store.list().size() == 2);
  CHECK(f.faults() == "");
  root.unmount();
  f.drop("c");
  CHECK(f.manager.prune({.all = true, .min_age = seconds(0)}).images.size() == 1);
  CHECK(f.store.list().empty());
  CHECK(f.count("blobs/sha256") == 0);
}
