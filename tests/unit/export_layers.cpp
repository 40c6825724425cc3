// LayerStore::export_layers.
#include <strata/error.hpp>
#include <strata/layer_store.hpp>

#include "support/catch.hpp"
#include "support/layer_entries.hpp"
#include "support/scratch.hpp"

#include <boost/filesystem/fstream.hpp>

#include <atomic>
#include <map>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

/// A chain of small layers and a large one, and what each was imported from.
struct Chain {
  Chain() {
    for (std::size_t i = 0; i < 30; ++i) tars.push_back(layer({file("f" + std::to_string(i), std::string(i, 'x'))}));
    tars.push_back(layer({file("large", std::string(2'000'000, 'y'))}));
    for (const std::string& tar : tars)
      ids.push_back(
          store.import(MemorySource(tar), {.parent = ids.empty() ? std::nullopt : std::optional(ids.back())}).id);
  }
  ScratchDirectory scratch;
  LayerStore<> store{scratch.path() / "store", {.durability = Durability::none}};
  std::vector<std::string> tars;
  std::vector<Digest> ids;
};

/// Keeps what was written once it is finished.
class Kept final : public ByteSink {
 public:
  explicit Kept(std::string& into) : into_(into) {}
  void write(std::span<const std::byte> bytes) override {
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void finish() override { into_ = std::move(text_); }

 private:
  std::string& into_;
  std::string text_;
};

}  // namespace

TEST_CASE("Layers exported together are those exported one after the other") {
  Chain chain;
  std::map<std::string, std::string> written;
  Progress last;
  bool grows = true;
  const auto sizes = chain.store.export_layers(
      chain.ids, [&](const Layer& layer) { return std::make_unique<Kept>(written[layer.id.to_string()]); },
      {.observer = [&](const Progress& progress) {
        grows = grows && progress.bytes >= last.bytes;
        last = progress;
      }});
  REQUIRE(sizes.size() == chain.ids.size());
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    CHECK(sizes[i] == chain.tars[i].size());
    CHECK(written[chain.ids[i].to_string()] == chain.tars[i]);
    sum += sizes[i];
  }
  CHECK(grows);
  CHECK(last.bytes == sum);
  CHECK(last.total_bytes == sum);
  CHECK(chain.store.export_layers({}, [](const Layer&) { return std::make_unique<NullSink>(); }).empty());
}

TEST_CASE("An export of several ends with the first layer that fails") {
  Chain chain;
  const auto spoil = [&](std::size_t i, const std::string& name) {
    fs::ofstream(chain.store.root() / "trees/sha256" / chain.store.get(chain.ids[i]).tree().hex() / "fs" / name,
                 std::ios::in | std::ios::out)
        << "?";
  };
  spoil(5, "f5");
  spoil(20, "f20");
  std::atomic<int> open = 0;
  struct Counted final : ByteSink {
    explicit Counted(std::atomic<int>& count) : open(count) { ++open; }
    ~Counted() override { --open; }
    void write(std::span<const std::byte>) override {}
    std::atomic<int>& open;
  };
  const auto fails_with = [&](std::span<const Digest> ids, const Control& control) -> std::string {
    try {
      chain.store.export_layers(
          ids, [&](const Layer&) { return std::make_unique<Counted>(open); }, control);
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing";
  };
  CHECK(fails_with(chain.ids, {}).find("'f5'") != std::string::npos);
  CHECK(open == 0);
  std::vector<Digest> ids{chain.ids[0], Digest::parse("sha256:" + std::string(64, '0'))};
  CHECK(fails_with(ids, {}).find("0000") != std::string::npos);
  std::stop_source stop;
  stop.request_stop();
  CHECK(fails_with(std::span(chain.ids).first(3), {.observer = {}, .stop = stop.get_token()}).find("export") !=
        std::string::npos);
}
