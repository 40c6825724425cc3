#include <strata/transport/docker_archive.hpp>

#include "conformance/layer_sink_suite.hpp"
#include "support/scratch.hpp"

#include <boost/filesystem/fstream.hpp>
#include <boost/filesystem/operations.hpp>

using namespace strata;
using namespace strata::test;
using Catch::Contains;
namespace fs = boost::filesystem;

namespace {

const std::string base_tar = layer({file("base", "b")});
const std::string top_tar = layer({file("top", prose(400'000))});

std::string digest_text(const std::string& bytes) { return digest_of<Sha256>(bytes).to_string(); }

std::string config_of(const std::vector<std::string>& tars) {
  std::string ids;
  for (const std::string& tar : tars) ids += (ids.empty() ? "\"" : ",\"") + digest_text(tar) + "\"";
  return R"({"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[)" + ids + "]}}";
}

fs::path write(const ScratchDirectory& scratch, const std::vector<RawHeader>& members) {
  const fs::path path = scratch.path() / "archive.tar";
  fs::ofstream(path) << layer(members);
  return path;
}

std::string refusal(const fs::path& path, const std::string& name, errc code) {
  try {
    DockerArchiveSource(path, name).top({});
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return {};
}

std::string blob(DockerArchiveSource& source, const Descriptor& layer) { return read_all(*source.open(layer, 0, {})); }

}  // namespace

TEST_CASE("an image of docker save is read, with links between its layers", "[transport_docker]") {
  const ScratchDirectory scratch;
  const auto path =
      write(scratch, {file("c.json", config_of({base_tar, top_tar, base_tar})), file("1/layer.tar", base_tar),
                      file("2/layer.tar", top_tar), soft_link("3/layer.tar", "../1/layer.tar"),
                      file("manifest.json", R"([{"Config":"c.json","RepoTags":["a:1","docker.io/library/b:2"],)"
                                            R"("Layers":["1/layer.tar","2/layer.tar","3/layer.tar"]}])")});
  for (const char* name : {"", "a:1", "b:2", "docker.io/library/a:1", "@0"}) {
    DockerArchiveSource source(path, name);
    const auto manifest = ImageManifest::parse(source.top({}));
    REQUIRE(manifest.layers.size() == 3);
    CHECK(manifest.media_type == media_type::docker_manifest);
    CHECK(manifest.layers[0].digest == digest_of<Sha256>(base_tar));
    CHECK(manifest.layers[0] == manifest.layers[2]);
    CHECK((blob(source, manifest.layers[1]) == top_tar));
    CHECK(source.document(manifest.config, {}).bytes == config_of({base_tar, top_tar, base_tar}));
  }
  CHECK_THAT(refusal(path, "c", errc::not_found), Contains("'a:1'"));
  CHECK_FALSE(refusal(path, "@1", errc::not_found).empty());
}

TEST_CASE("layers that are compressed in the archive are named by what they are", "[transport_docker]") {
  const ScratchDirectory scratch;
  const std::string compressed = gzipped(top_tar);
  DockerArchiveSource source(
      write(scratch, {file("manifest.json", R"([{"Config":"blobs/sha256/c","Layers":["blobs/sha256/l"]}])"),
                      file("blobs/sha256/c", config_of({top_tar})), file("blobs/sha256/l", compressed)}),
      "");
  const auto manifest = ImageManifest::parse(source.top({}));
  CHECK(manifest.layers[0].media_type == media_type::docker_layer_gzip);
  CHECK(manifest.layers[0].digest == digest_of<Sha256>(compressed));
  CHECK((blob(source, manifest.layers[0]) == compressed));
}

TEST_CASE("an archive of before docker 1.10 is read, its config made of its layers", "[transport_docker]") {
  const ScratchDirectory scratch;
  const std::string json =
      R"({"id":"22","parent":"11","created":"2015-01-02T00:00:00Z","author":"me","comment":"why",)"
      R"("container_config":{"Cmd":["/bin/sh","-c","touch top"]},"config":{"Cmd":["sh"],"Env":["A=b"]},)"
      R"("architecture":"amd64","os":"linux","Size":7})";
  const auto path =
      write(scratch, {file("22/json", json), file("22/layer.tar", gzipped(top_tar)), file("22/VERSION", "1.0"),
                      file("11/json", R"({"id":"11","created":"2015-01-01T00:00:00Z"})"),
                      file("11/layer.tar", base_tar), file("repositories", R"({"old":{"1":"22","latest":"22"}})")});
  DockerArchiveSource source(path, "old:1");
  const auto manifest = ImageManifest::parse(source.top({}));
  const auto config = ImageConfig::parse(source.document(manifest.config, {}));
  CHECK_NOTHROW(check_image(manifest, config));
  CHECK(config.diff_ids == std::vector{digest_of<Sha256>(base_tar), digest_of<Sha256>(top_tar)});
  CHECK(config.config.cmd == std::vector<std::string>{"sh"});
  REQUIRE(config.history.size() == 2);
  CHECK(config.history[1] ==
        HistoryEntry{
            .created = "2015-01-02T00:00:00Z", .created_by = "/bin/sh -c touch top", .author = "me", .comment = "why"});
  CHECK_THAT(source.document(manifest.config, {}).bytes, !Contains("parent") && !Contains("Size"));
  CHECK(manifest.layers[0].digest == config.diff_ids[0]);
  CHECK((blob(source, manifest.layers[1]) == gzipped(top_tar)));
  // The same archive makes the same image.
  CHECK(DockerArchiveSource(path, "").top({}) == source.top({}));
}

TEST_CASE("an archive that means harm is refused, and nothing outside is read", "[transport_docker]") {
  const ScratchDirectory scratch;
  const auto refused = [&](const std::string& manifest, errc code = errc::bad_archive) {
    const auto path =
        write(scratch, {file("manifest.json", manifest), file("c.json", config_of({base_tar})), file("l.tar", base_tar),
                        soft_link("out", "../../../../../../etc/passwd"), soft_link("root", "/etc/passwd")});
    const std::string message = refusal(path, "", code);
    INFO(manifest);
    CHECK_FALSE(message.empty());
    return message;
  };
  for (const char* outside : {"../../etc/passwd", "/etc/passwd", "out", "root", "absent", "."}) {
    CHECK_THAT(refused(R"([{"Config":")" + std::string(outside) + R"(","Layers":["l.tar"]}])"), Contains("lacks"));
    CHECK_THAT(refused(R"([{"Config":"c.json","Layers":[")" + std::string(outside) + R"("]}])"), Contains("lacks"));
  }
  CHECK_THAT(refused(R"([{"Config":"c.json","Layers":["l.tar","l.tar"]}])"), Contains("2 layers"));
  CHECK_THAT(refused(R"([{"Config":"c.json"}])"), Contains("0 layers"));
  for (const char* wrong :
       {"", "{}", "[{}]", "[1]", R"([{"Config":1,"Layers":[]}])", R"([{"Config":"","Layers":[]}])",
        R"([{"Config":"c.json","Layers":[1]}])", R"([{"Config":"l.tar","Layers":["l.tar"]}])", "nope"})
    refused(wrong);
  refused("[]", errc::not_found);
  refused(std::string(200, '[') + std::string(200, ']'), errc::limit_exceeded);
  refused(R"([{"Config":"c.json","Layers":["l.tar"]},{"Config":"c.json","Layers":["l.tar"]}])", errc::bad_argument);
  CHECK_THAT(refusal(write(scratch, {file("a", "a")}), "", errc::bad_archive), Contains("no docker archive"));
}

TEST_CASE("a chain of parents that doesn't end is refused", "[transport_docker]") {
  const ScratchDirectory scratch;
  const auto path = write(scratch, {file("1/json", R"({"parent":"2"})"), file("2/json", R"({"parent":"1"})"),
                                    file("repositories", R"({"a":{"b":"1"}})")});
  CHECK_FALSE(refusal(path, "", errc::limit_exceeded).empty());
  CHECK_THAT(refusal(write(scratch, {file("repositories", R"({"a":{"b":"../../1"}})")}), "", errc::bad_archive),
             Contains("lacks"));
}

TEST_CASE("compressed layers are stored decompressed, and must be what the config says", "[transport_docker]") {
  const ScratchDirectory scratch;
  const TestImage image = oci_image();
  const fs::path path = scratch.path() / "archive.tar";
  AnySource from{ImageInMemory(image)};
  AnySink to{DockerArchiveSink(path, "a")};
  copy_image(from, to);
  DockerArchiveSource source(path, "docker.io/library/a:latest");
  const auto manifest = ImageManifest::parse(source.top({}));
  const auto config = ImageConfig::parse(image.documents[0]);
  REQUIRE(manifest.layers.size() == config.diff_ids.size());
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    CHECK(manifest.layers[i].digest == config.diff_ids[i]);
    CHECK(digest_of<Sha256>(blob(source, manifest.layers[i])) == config.diff_ids[i]);
  }
  CHECK(source.document(manifest.config, {}).bytes == image.documents[0].bytes);

  TestImage lying = image;
  ImageConfig other = config;
  std::swap(other.diff_ids[0], other.diff_ids[1]);
  lying.documents[0] = other.document();
  ImageManifest named = ImageManifest::parse(lying.top);
  named.config = lying.documents[0].descriptor();
  lying.top = named.document();
  AnySource liar{ImageInMemory(lying)};
  AnySink never{DockerArchiveSink(scratch.path() / "never.tar", "a")};
  CHECK(fails_with(errc::digest_mismatch, [&] { copy_image(liar, never); }));
  CHECK_FALSE(fs::exists(scratch.path() / "never.tar"));
}

TEST_CASE("what a docker archive can't have is refused before anything has its name", "[transport_docker]") {
  const ScratchDirectory scratch;
  const fs::path path = scratch.path() / "archive.tar";
  AnySource index{ImageInMemory(oci_index_image())};
  {
    AnySink sink{DockerArchiveSink(path, "")};
    CHECK(fails_with(errc::unsupported, [&] { copy_image(index, sink); }));
    CHECK(fails_with(errc::unsupported, [&] { sink.put(oci_index_image().top); }));
  }
  {
    const TestImage image = docker_image();
    DockerArchiveSink sink(path, "");
    put_layers(sink, image);
    CHECK(fails_with(errc::not_found, [&] { sink.finish(image.top, {}); }));
  }
  CHECK_FALSE(fs::exists(path));
  CHECK(fails_with(errc::bad_argument, [&] { DockerArchiveSink(path, "Not A Name"); }));
  CHECK(fails_with(errc::bad_argument, [&] { DockerArchiveSink(path, "a@sha256:" + std::string(64, 'a')); }));
  AnySink sink{DockerArchiveSink(path, "")};
  copy_image(index, sink, {.platform = Platform::parse("linux/arm64")});
  CHECK_NOTHROW(DockerArchiveSource(path, "").top({}));
}
