// LayerStore::import_chain.
#include <strata/layer_store.hpp>

#include <strata/error.hpp>

#include "support/catch.hpp"
#include "support/layer_entries.hpp"
#include "support/scratch.hpp"

#include <boost/filesystem/operations.hpp>

#include <stdexcept>
#include <stop_token>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

struct Fixture {
  explicit Fixture(Durability durability = Durability::none)
      : store(scratch.path() / "store", {.durability = durability}) {}
  ScratchDirectory scratch;
  LayerStore<> store;

  std::string exported(const Digest& id) {
    MemorySink out;
    store.export_layer(id, out);
    return out.take();
  }
};

const std::string base = layer({dir("d"), file("d/a", "aaa"), file("b", "b")});

errc code_of(Fixture& f, const std::vector<LayerInput>& layers) {
  try {
    f.store.import_chain(layers);
  } catch (const Error& error) {
    for (const errc code : {errc::bad_archive, errc::not_found, errc::cancelled})
      if (error.code() == code) return code;
    throw;
  }
  throw std::runtime_error("nothing was thrown");
}

}  // namespace

TEST_CASE("A chain is imported as its layers are, one after the other") {
  // Small layers and ones that go through the threads, some of which need what is below.
  std::vector<std::string> tars{base};
  for (int i = 0; i < 12; ++i) {
    const std::string text = std::to_string(i);
    tars.push_back(i % 4 == 2   ? layer({file("d/large" + text, std::string(400'000, static_cast<char>('a' + i)))})
                   : i % 4 == 3 ? layer({whiteout("d/.wh.large" + std::to_string(i - 1)), hard_link("b" + text, "b")})
                                : layer({dir("d"), file("d/" + text, text)}));
  }
  // With durability, many are put in place at once.
  const Durability durability = GENERATE(Durability::none, Durability::full);
  Fixture one, all(durability);
  if (durability == Durability::full)
    for (int i = 0; i < 40; ++i) tars.push_back(layer({file("d/more", std::to_string(i % 3))}));
  std::vector<MemorySource> sources;
  for (const std::string& tar : tars) sources.emplace_back(tar);
  std::vector<LayerInput> inputs;
  for (MemorySource& source : sources) inputs.push_back({source, {.created = "2020-01-01T00:00:00Z"}});
  const std::vector<ImportedLayer> layers = all.store.import_chain(inputs);

  std::optional<Digest> parent;
  REQUIRE(layers.size() == tars.size());
  for (std::size_t i = 0; i < tars.size(); ++i) {
    parent = one.store.import(MemorySource(tars[i]), {.parent = parent, .created = "2020-01-01T00:00:00Z"}).id;
    CHECK(layers[i].id == *parent);
    CHECK(!layers[i].existed);
    CHECK(all.exported(layers[i].id) == tars[i]);
    CHECK(all.store.verify(layers[i].id, {.level = VerifyLevel::proving}).ok());
  }
  CHECK(all.store.import_chain({}).empty());
  CHECK(fs::is_empty(all.scratch.path() / "store/staging"));
  for (MemorySource& source : sources) source = MemorySource(tars[static_cast<std::size_t>(&source - sources.data())]);
  for (const ImportedLayer& layer : all.store.import_chain(inputs)) CHECK(layer.existed);
}

TEST_CASE("Of a chain that fails, the layers below are stored and nothing else is") {
  const std::string large = layer({file("large", std::string(600'000, 'x'))});
  const std::string bad = large.substr(0, large.size() - 5000);
  const Durability durability = GENERATE(Durability::none, Durability::full);
  for (const std::size_t at : {0U, 1U, 3U}) {
    Fixture fresh(durability);
    std::vector<std::string> tars;
    for (std::size_t i = 0; i < 5; ++i)
      tars.push_back(i == at ? bad : i == 4 ? "nonsense" : layer({file("f" + std::to_string(i), "x")}));
    std::vector<MemorySource> sources;
    for (const std::string& tar : tars) sources.emplace_back(tar);
    std::vector<LayerInput> inputs;
    for (MemorySource& source : sources) inputs.push_back({source, {}});
    CHECK(code_of(fresh, inputs) == errc::bad_archive);
    CHECK(fresh.store.list().size() == at);
    CHECK(fs::is_empty(fresh.scratch.path() / "store/staging"));
  }
}

TEST_CASE("A chain needs the parent of its first layer") {
  Fixture f;
  MemorySource source(base);
  const std::vector<LayerInput> orphan{{source, {.parent = chain_id({}, digest_of<Sha256>("none"))}}};
  CHECK(code_of(f, orphan) == errc::not_found);
}

TEST_CASE("A chain can be cancelled") {
  Fixture f;
  std::stop_source stop;
  const std::string large = layer({file("large", std::string(3'000'000, 'x'))});
  std::vector<MemorySource> sources;
  for (int i = 0; i < 6; ++i) sources.emplace_back(i == 2 ? large : base);
  std::vector<LayerInput> inputs;
  for (MemorySource& source : sources) inputs.push_back({source, {.control = {.stop = stop.get_token()}}});
  inputs[2].options.control.observer = [&](const Progress&) { stop.request_stop(); };
  CHECK(code_of(f, inputs) == errc::cancelled);
  CHECK(f.store.list().size() <= 2);
  CHECK(fs::is_empty(f.scratch.path() / "store/staging"));
}
