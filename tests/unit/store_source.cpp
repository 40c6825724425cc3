#include <strata/image_store.hpp>

#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/managed_store.hpp"

using namespace strata;
using namespace strata::test;

namespace {

std::string read_all(ByteSource& source) {
  MemorySink bytes;
  copy(source, bytes);
  return bytes.take();
}

}  // namespace

TEST_CASE("An image of a store gives its documents and blobs as they came, from any offset on") {
  ManagedStore f;
  const std::string codec = GENERATE("gzip", "none");
  const bool keep = GENERATE(true, false);
  FakeNetwork network(image_of({layer({file("a", noise(200'000, 1))}), layer({file("b", noise(300'000, 2))})}, codec));
  StoreSource source(f.store, f.pull(network, "app", {.keep_blobs = keep}));
  CHECK(source.top({}) == network.image.top);
  CHECK(source.document(network.image.manifest.config, {}).bytes == network.image.config.document().bytes);
  CHECK(fails_with(errc::not_found, [&] { source.document(network.image.manifest.layers[0], {}); }));
  for (const Descriptor& layer : network.image.manifest.layers) {
    if (codec == "gzip" && !keep) {
      CHECK(fails_with(errc::not_found, [&] { source.open(layer, 0, {}); }));
      continue;
    }
    const std::string& blob = network.image.blobs[layer.digest];
    for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{1}, layer.size / 2, layer.size}) {
      const auto from = source.open(layer, offset, {});
      CHECK(from->size() == layer.size - offset);
      CHECK(read_all(*from) == blob.substr(static_cast<std::size_t>(offset)));
    }
  }
  CHECK(read_all(*source.open(network.image.manifest.config, 2, {})) ==
        network.image.config.document().bytes.substr(2));
}

TEST_CASE("One store pulls from another") {
  ManagedStore from, to;
  FakeNetwork network(noisy_image({1, 2}));
  const bool keep = GENERATE(true, false);
  PullOptions options{.keep_blobs = keep, .owners = Owners::squash};
  const Image image = to.manager.pull(AnySource(StoreSource(from.store, from.pull(network))), "copy", options);
  CHECK(image.manifest == network.image.top);
  CHECK(to.count("blobs/sha256") == (keep ? 2U : 0U));
  CHECK(to.count("downloads") == 0);
  CHECK(to.faults() == "");
}
