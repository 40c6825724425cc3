// A store with a manager, that mounts nothing.
#pragma once

#include <strata/layer_manager.hpp>
#include <strata/mount/copy.hpp>

#include "support/fake_registry.hpp"
#include "support/small_store.hpp"

#include <boost/filesystem/operations.hpp>

#include <functional>
#include <string>

namespace strata::test {

/// Opens what a test says.
struct FakeSources {
  std::function<AnySource(std::string_view)> opener = {};
  AnySource open(std::string_view name) const { return opener(name); }
};

using FakeManager = LayerManager<LayerStore<>, Mounter<Copy>, FakeSources>;

struct ManagedStore : SmallStore {
  FakeManager manager{store, Mounter<Copy>(store)};

  Image pull(FakeNetwork& network, const std::string& name = "app:1", PullOptions options = {}) {
    options.owners = Owners::squash;
    return manager.pull(AnySource(FakeSource(network)), name, options);
  }
  /// Nothing is half done, and nothing is bad.
  std::string faults() const {
    std::string text;
    for (const Layer& layer : store.list())
      if (const VerifyResult result = store.verify(layer.id); !result.ok())
        text += layer.id.to_string() + " is damaged\n";
    for (const Leftover& left : store.leftovers())
      if (left.kind != Leftover::Kind::download) text += "left over: " + left.name + "\n";
    return text;
  }
  std::size_t count(const std::string& room) const {
    if (!boost::filesystem::exists(root / room)) return 0;
    const auto entries = boost::filesystem::directory_iterator(root / room);
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
  }
  std::uint64_t blob_bytes(const MadeImage& image) const {
    std::uint64_t sum = 0;
    for (const Descriptor& layer : image.manifest.layers) sum += layer.size;
    return sum;
  }
};

}  // namespace strata::test
