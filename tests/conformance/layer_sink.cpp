#include "conformance/layer_sink_suite.hpp"

#include <strata/transport/docker_archive.hpp>
#include <strata/transport/oci_layout.hpp>

#include "support/scratch.hpp"

#include <boost/filesystem/operations.hpp>

using namespace strata;
using namespace strata::test;

namespace {

/// A place in a scratch directory, for a transport that is files.
template <class Sink, class Source>
SinkPlace<Sink> place_in(const ScratchDirectory& scratch, const std::string& name) {
  const auto path = scratch.path() / "image";
  return {.open = [=] { return Sink(path, name); },
          .read_back = [=]() -> std::optional<AnySource> {
            try {
              return AnySource(Source(path, name));
            } catch (const Error& error) {
              if (error.code() == errc::not_found) return std::nullopt;
              throw;
            }
          },
          .has_scraps =
              [&scratch] {
                for (const auto& entry : boost::filesystem::recursive_directory_iterator(scratch.path()))
                  if (entry.path().filename().native().starts_with(".")) return true;
                return false;
              }};
}

/// A host's own sink: what it is given goes into a map.
class SinkInMemory {
 public:
  static constexpr bool parallel = false;

  explicit SinkInMemory(std::shared_ptr<std::optional<TestImage>> to) : to_(std::move(to)) {}
  std::string name() const { return "memory"; }
  bool has(const Descriptor& descriptor, const std::stop_token&) {
    return image_.blobs.contains(descriptor.digest) || documents_.contains(descriptor.digest);
  }
  void put(const Descriptor& blob, ByteSource& source, const Control& control) {
    std::string bytes;
    std::byte some[10'000];
    while (const std::size_t n = source.read(some)) {
      bytes.append(reinterpret_cast<const char*>(some), n);
      if (control.observer) control.observer({.bytes = bytes.size(), .total_bytes = blob.size});
      if (control.stop.stop_requested()) throw_error(errc::cancelled, "read", source.name());
    }
    image_.blobs[blob.digest] = Document::checked(std::move(bytes), blob, source.name()).bytes;
    image_.layers.push_back(blob);
  }
  void put(const Document& document, const std::stop_token&) {
    documents_[document.digest] = document;
    image_.documents.push_back(document);
  }
  void finish(const Document& top, const std::stop_token&) {
    image_.top = top;
    *to_ = image_;
  }

 private:
  std::shared_ptr<std::optional<TestImage>> to_;
  TestImage image_;
  std::map<Digest, Document> documents_;
};

}  // namespace

TEST_CASE("a host's own sink is a sink", "[layer_sink]") {
  const auto held = std::make_shared<std::optional<TestImage>>();
  const SinkPlace<SinkInMemory> place{.open = [=] { return SinkInMemory(held); },
                                      .read_back = [=]() -> std::optional<AnySource> {
                                        return *held ? std::optional(AnySource(ImageInMemory(**held))) : std::nullopt;
                                      },
                                      .has_scraps = [] { return false; }};
  layer_sink_suite(place, oci_image(1), oci_image(2));
}

TEST_CASE("OciLayoutSink is a sink", "[layer_sink]") {
  const ScratchDirectory scratch;
  layer_sink_suite(place_in<OciLayoutSink, OciLayoutSource>(scratch, "a"), oci_index_image(), oci_image(5));
}

TEST_CASE("OciArchiveSink is a sink", "[layer_sink]") {
  const ScratchDirectory scratch;
  layer_sink_suite(place_in<OciArchiveSink, OciArchiveSource>(scratch, "a"), oci_index_image(), oci_image(5));
}

TEST_CASE("DockerArchiveSink is a sink", "[layer_sink]") {
  const ScratchDirectory scratch;
  layer_sink_suite(place_in<DockerArchiveSink, DockerArchiveSource>(scratch, "a:1"), docker_image(1), docker_image(9));
}
