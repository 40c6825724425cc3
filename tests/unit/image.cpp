#include <strata/error.hpp>
#include <strata/hash.hpp>
#include <strata/image.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"

#include <functional>
#include <string>

using namespace strata;
using Catch::Contains;
using strata::test::fails_with;

namespace {

std::string digest(char c) { return "sha256:" + std::string(64, c); }

std::string descriptor(char c, std::string_view type, const std::string& more = "") {
  return R"({"mediaType":")" + std::string(type) + R"(","digest":")" + digest(c) + R"(","size":5)" + more + "}";
}

/// As others write it: with spaces, members in another order, and members that strata doesn't know.
const std::string manifest_text =
    R"({ "layers": [)" + descriptor('b', media_type::oci_layer_gzip, R"(,"x-layer":[1.50])") +
    R"(], "x-unknown": {"b":1,"a":null}, "config":)" + descriptor('a', media_type::oci_config, R"(,"data":"e30=")") +
    R"(,"schemaVersion":2,"annotations":{"k":"v"}})"
    "\n";

const std::string config_text =
    R"({"architecture":"amd64","os":"linux","x-unknown":[{}],"config":{"Env":["A=b"],"Cmd":["sh"],)"
    R"("Healthcheck":{"Test":["x"]},"Entrypoint":null,"ExposedPorts":{"80/tcp":{}}},)"
    R"("rootfs":{"type":"layers","diff_ids":[")" +
    digest('1') + R"(",")" + digest('2') +
    R"("]},"history":[{"created_by":"one","x":1},{"empty_layer":true},{"created_by":"two"}]})";

Document manifest_document() { return Document::of(manifest_text, media_type::oci_manifest); }
Document config_document() { return Document::of(config_text, media_type::oci_config); }

Descriptor for_platform(char c, Platform platform) {
  return {.media_type = std::string(media_type::oci_manifest),
          .digest = Digest::parse(digest(c)),
          .size = 1,
          .platform = std::move(platform)};
}

/// What is said of a document that is bad.
template <class Kind>
std::string refusal(const std::string& text, std::string_view type, errc code = errc::bad_archive) {
  try {
    Kind::parse(Document::of(text, type));
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a document that wasn't changed is written as it was read", "[image]") {
  CHECK(ImageManifest::parse(manifest_document()).document() == manifest_document());
  CHECK(ImageConfig::parse(config_document()).document() == config_document());
  const Document index = Document::of(
      R"({"schemaVersion":2, "manifests":[)" + descriptor('c', media_type::docker_manifest) + R"(],"x":1})",
      media_type::docker_index);
  CHECK(ImageIndex::parse(index).document() == index);
}

TEST_CASE("a changed manifest keeps what strata doesn't know", "[image]") {
  auto manifest = ImageManifest::parse(manifest_document());
  manifest.annotations["k2"] = "v2";
  manifest.layers.push_back(
      {.media_type = std::string(media_type::oci_layer), .digest = Digest::parse(digest('d')), .size = 7});
  const Document changed = manifest.document();
  CHECK(changed.bytes == R"({"layers":[)" + descriptor('b', media_type::oci_layer_gzip, R"(,"x-layer":[1.5])") + "," +
                             R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" + digest('d') +
                             R"(","size":7}],"x-unknown":{"b":1,"a":null},"config":)" +
                             descriptor('a', media_type::oci_config, R"(,"data":"e30=")") +
                             R"(,"schemaVersion":2,"annotations":{"k":"v","k2":"v2"}})");
  CHECK(changed.digest == digest_of<Sha256>(changed.bytes));
  CHECK(ImageManifest::parse(changed).layers == manifest.layers);
}

TEST_CASE("a changed config keeps what strata doesn't know", "[image]") {
  auto config = ImageConfig::parse(config_document());
  CHECK(config.config.exposed_ports == std::vector<std::string>{"80/tcp"});
  CHECK_FALSE(config.config.entrypoint);
  config.config.env.push_back("C=d");
  config.history.push_back({.created_by = "three"});
  config.diff_ids.push_back(Digest::parse(digest('3')));
  const std::string bytes = config.document().bytes;
  CHECK_THAT(bytes, Contains(R"("x-unknown":[{}])") && Contains(R"("Healthcheck":{"Test":["x"]})") &&
                        Contains(R"("Env":["A=b","C=d"])") && Contains(R"({"created_by":"one","x":1})") &&
                        Contains(R"({"created_by":"three"})"));
  const auto again = ImageConfig::parse(Document::of(bytes, media_type::oci_config));
  CHECK(again.diff_ids == config.diff_ids);
  CHECK(again.config == config.config);
}

TEST_CASE("new documents say all that there is", "[image]") {
  ImageConfig config;
  config.platform = Platform::parse("linux/arm64");
  config.created = "2024-01-01T00:00:00Z";
  config.config.cmd = {{"sh", "-c", "true"}};
  config.config.labels = {{"a", "b"}};
  config.diff_ids = {Digest::parse(digest('1'))};
  config.history = {{.created_by = "x"}};
  auto read = ImageConfig::parse(config.document());
  read.origin.clear();
  CHECK(read == config);

  ImageManifest manifest;
  manifest.config = config.document().descriptor();
  manifest.layers = {{.media_type = std::string(media_type::oci_layer), .digest = config.diff_ids[0], .size = 3}};
  auto manifest_read = ImageManifest::parse(manifest.document());
  manifest_read.origin.clear();
  CHECK(manifest_read == manifest);
  check_image(manifest, config);

  ImageIndex index;
  index.manifests = {for_platform('a', Platform::parse("linux/arm/v6"))};
  auto index_read = ImageIndex::parse(index.document());
  index_read.origin.clear();
  CHECK(index_read == index);
}

TEST_CASE("a manifest of another media type says so when it is written", "[image]") {
  auto manifest = ImageManifest::parse(manifest_document());
  manifest.media_type = std::string(media_type::docker_manifest);
  const Document document = manifest.document();
  CHECK(document.media_type == media_type::docker_manifest);
  CHECK(ImageManifest::parse(document).media_type == media_type::docker_manifest);
}

TEST_CASE("the history's entries of layers", "[image]") {
  auto config = ImageConfig::parse(config_document());
  REQUIRE(config.history_of_layers().size() == 2);
  CHECK(config.history_of_layers()[1].created_by == "two");
  config.history.pop_back();
  CHECK(config.history_of_layers() == std::vector<HistoryEntry>(2));
}

TEST_CASE("bad documents are refused, and the member is named", "[image]") {
  const auto manifest = [](const std::string& text, errc code = errc::bad_archive) {
    return refusal<ImageManifest>(text, media_type::oci_manifest, code);
  };
  const std::string config = R"("schemaVersion":2,"config":)" + descriptor('a', media_type::oci_config);
  CHECK_THAT(manifest("[]"), Contains("no JSON object"));
  CHECK_THAT(manifest("{\"a\":"), Contains("no JSON from byte"));
  CHECK_THAT(manifest("{\"a\":\"\xff\"}"), Contains("no JSON from byte"));
  CHECK_THAT(manifest("{\"a\":1e999}"), Contains("too large"));
  CHECK_THAT(manifest(R"({"schemaVersion":2})"), Contains("'config': it is missing"));
  CHECK_THAT(manifest("{" + config + R"(,"layers":{}})"), Contains("'layers': it is no list"));
  CHECK_THAT(manifest("{" + config + R"(,"layers":[{"mediaType":"x","digest":"sha256:00","size":1}]})"),
             Contains("'layers[0].digest'"));
  CHECK_THAT(manifest("{" + config + R"(,"layers":[{"mediaType":"x","digest":")" + digest('a') + R"(","size":-1}]})"),
             Contains("'layers[0].size'"));
  CHECK_THAT(manifest("{" + config + R"(,"manifests":[]})"), Contains("another kind"));
  CHECK_THAT(manifest("{" + config + R"(,"mediaType":"x"})"), Contains("'mediaType': 'x'"));
  CHECK_THAT(manifest(R"({"schemaVersion":1,"fsLayers":[]})", errc::unsupported), Contains("schema version 1"));
  CHECK_THAT(manifest("{\"a\":\"" + std::string(5 << 20, 'x') + "\"}", errc::limit_exceeded), Contains("larger"));
  const std::string deep = "{\"a\":" + std::string(200000, '[') + std::string(200000, ']') + "}";
  CHECK_THAT(manifest(deep, errc::limit_exceeded), Contains("deeper"));
  std::string wide = "{\"a\":[0";
  for (int i = 0; i < 300'000; ++i) wide += ",0";
  CHECK_THAT(manifest(wide + "]}", errc::limit_exceeded), Contains("262144 values"));
  CHECK_THAT(refusal<ImageIndex>(R"({"schemaVersion":2,"manifests":[],"layers":[]})", media_type::oci_index),
             Contains("another kind"));
  CHECK_THAT(refusal<ImageConfig>(R"({"os":"linux"})", media_type::oci_empty, errc::unsupported), Contains("rootfs"));
  CHECK_THAT(refusal<ImageConfig>(R"({"rootfs":{"type":"layers","diff_ids":["x"]}})", media_type::oci_config),
             Contains("'rootfs.diff_ids'"));
}

TEST_CASE("an image's manifest and config agree", "[image]") {
  auto manifest = ImageManifest::parse(manifest_document());
  const auto config = ImageConfig::parse(config_document());
  CHECK(fails_with(errc::bad_archive, [&] { check_image(manifest, config); }));  // one layer, and two
  manifest.layers.push_back(manifest.layers[0]);
  check_image(manifest, config);
  manifest.layers[1].media_type = "application/vnd.in-toto+json";
  CHECK(fails_with(errc::bad_archive, [&] { check_image(manifest, config); }));
  manifest.layers.assign(4097, manifest.layers[0]);
  ImageConfig tall = config;
  tall.diff_ids.assign(4097, config.diff_ids[0]);
  CHECK(fails_with(errc::limit_exceeded, [&] { check_image(manifest, tall); }));
}

TEST_CASE("the image of a platform is chosen", "[image]") {
  ImageIndex index;
  index.manifests = {for_platform('0', {.os = "unknown", .architecture = "unknown"}),
                     for_platform('1', Platform::parse("linux/amd64")),
                     for_platform('2', Platform::parse("linux/amd64/v3")),
                     for_platform('3', Platform::parse("linux/arm64/v8")),
                     for_platform('5', Platform::parse("linux/arm/v5")),
                     for_platform('7', Platform::parse("linux/arm/v6")),
                     for_platform('9', {.os = "windows", .architecture = "amd64", .os_version = "10.0.1"})};
  const auto chosen = [&](const std::string& text) { return index.choose(Platform::parse(text)).digest.hex()[0]; };
  CHECK(chosen("linux/amd64") == '1');
  CHECK(chosen("linux/x86_64") == '1');
  CHECK(chosen("linux/amd64/v2") == '1');
  CHECK(chosen("linux/amd64/v4") == '2');
  CHECK(chosen("linux/arm64") == '3');
  CHECK(chosen("linux/aarch64") == '3');
  CHECK(chosen("linux/arm") == '7');  // which is v7, and v6 is the best below it
  CHECK(chosen("linux/arm/v5") == '5');
  CHECK(chosen("windows/amd64") == '9');
  CHECK(index.choose({}).digest.hex()[0] == '0');
  CHECK_THROWS_WITH(chosen("linux/s390x"), Contains("linux/arm64") && Contains("windows/amd64 10.0.1"));
  index.manifests.push_back(
      {.media_type = std::string(media_type::oci_manifest), .digest = Digest::parse(digest('a')), .size = 1});
  CHECK(chosen("linux/s390x") == 'a');
  index.manifests.clear();
  CHECK(fails_with(errc::not_found, [&] { index.choose(Platform::host()); }));
}

TEST_CASE("platforms as text", "[image]") {
  CHECK(Platform::parse("linux/armhf") == Platform{.os = "linux", .architecture = "arm", .variant = "v7"});
  CHECK(Platform::parse("linux/arm/v7").to_string() == "linux/arm/v7");
  CHECK(Platform::host().os == "linux");
  CHECK_FALSE(Platform::host().architecture.empty());
  for (const char* text : {"", "linux", "/", "linux/", "/amd64", "linux/arm/v7/x", "linux/a b"})
    CHECK(fails_with(errc::bad_argument, [&] { Platform::parse(text); }));
}

TEST_CASE("a document is what its descriptor says", "[image]") {
  const Document document = Document::of("{}", media_type::oci_config);
  Descriptor expected = document.descriptor();
  CHECK(Document::checked("{}", expected, "here") == document);
  CHECK(fails_with(errc::digest_mismatch, [&] { Document::checked("{ }", expected, "here"); }));
  expected.size = 3;
  CHECK(fails_with(errc::digest_mismatch, [&] { Document::checked("{}", expected, "here"); }));
  expected.size = 2;
  expected.digest = digest_of<Sha512>(std::string_view("{}"));
  CHECK(Document::checked("{}", expected, "here").digest == expected.digest);
  expected.digest = digest_of<Xxh3>(std::string_view("{}"));
  CHECK(fails_with(errc::unsupported, [&] { Document::checked("{}", expected, "here"); }));
}
