#include <strata/diagnose.hpp>
#include <strata/layer_store.hpp>

#include "support/mount_files.hpp"
#include "support/tar_builder.hpp"

#include <sys/stat.h>

using namespace strata;
using namespace strata::test;
namespace fs = boost::filesystem;

namespace {

std::optional<Finding> find(const std::vector<Finding>& findings, const std::string& name) {
  for (const Finding& finding : findings)
    if (finding.name == name) return finding;
  return std::nullopt;
}

Finding::Verdict verdict_of(const std::vector<Finding>& findings, const std::string& name) {
  const auto finding = find(findings, name);
  CAPTURE(name);
  REQUIRE(finding);
  return finding->verdict;
}

}  // namespace

TEST_CASE("the kernel, the user and the filesystem are looked at, and nothing is left") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const auto mounts = mount_table().size();
  const auto findings = diagnose(scratch.root());
  CHECK(fs::is_empty(scratch.root()));
  CHECK(mount_table().size() == mounts);
  for (const char* topic : {"kernel", "user", "helpers", "filesystem"})
    CHECK(std::any_of(findings.begin(), findings.end(), [&](const auto& finding) { return finding.topic == topic; }));
  for (const Finding& finding : findings) {
    CAPTURE(finding.topic, finding.name, finding.value);
    CHECK_FALSE(finding.value.empty());
    CHECK(finding.remedy.empty() == (finding.verdict == Finding::Verdict::good));
  }
  for (const char* name : {"overlay", "mounting", "overlay upper", "CAP_SYS_ADMIN", "O_TMPFILE", "whiteout devices"})
    CHECK(verdict_of(findings, name) == Finding::Verdict::good);
  CHECK(verdict_of(findings, "trusted.* attributes") ==
        (private_namespace().user ? Finding::Verdict::limited : Finding::Verdict::good));
}

TEST_CASE("of a directory that doesn't exist yet the nearest above it is looked at") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const auto findings = diagnose(scratch.root() / "not/yet");
  CHECK(find(findings, "directory")->value == scratch.root().native());
  CHECK(fs::is_empty(scratch.root()));
}

TEST_CASE("a filesystem that can't hold an upper is told") {
  STRATA_NEEDS_NAMESPACE
  const Scratch scratch;
  const fs::path small = scratch.directory("small");
  REQUIRE(::mount("tmpfs", small.c_str(), "tmpfs", 0, "nr_inodes=12,size=1m") == 0);
  const auto findings = diagnose(small);
  CHECK(find(findings, "type")->value == "tmpfs");
  CHECK(verdict_of(findings, "free space") == Finding::Verdict::limited);
  CHECK(verdict_of(findings, "free inodes") == Finding::Verdict::limited);
  REQUIRE(::mount(nullptr, small.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  CHECK(verdict_of(diagnose(small), "writing") == Finding::Verdict::bad);
  REQUIRE(::umount2(small.c_str(), MNT_DETACH) == 0);
}

TEST_CASE("one backend is looked at by its name") {
  STRATA_NEEDS_NAMESPACE
  const auto findings = diagnose_backend("overlay");
  CHECK(verdict_of(findings, "usable") == Finding::Verdict::good);
  CHECK(find(findings, "layers at most")->value == "500");
  const Error error = thrown([] { diagnose_backend("none"); });
  CHECK(error.code() == errc::bad_argument);
  CHECK_THAT(error.remedy(), Catch::Contains("overlay"));
}

namespace {

struct Chain {
  Scratch scratch;
  LayerStore<> store{scratch.root() / "store", {.durability = Durability::none}};
  Digest top = layer("0");

  Digest layer(const std::string& name, std::optional<Digest> parent = {}) {
    TarBuilder tar;
    tar.add({.path = name, .content = name});
    tar.end();
    ImportOptions options;
    options.parent = parent;
    return store.import(MemorySource(tar.bytes), options).id;
  }
  void grow(int layers) {
    for (int i = 1; i < layers; ++i) top = layer(std::to_string(i), top);
  }
};

}  // namespace

TEST_CASE("a chain that can be mounted is mounted for a moment, of one layer too") {
  STRATA_NEEDS_NAMESPACE
  Chain chain;
  const auto mounts = mount_table().size();
  for (const int layers : {1, 3}) {
    chain.grow(layers);
    const auto findings = diagnose_chain(chain.store, chain.top);
    for (const char* name : {"layers", "form", "trees", "by mount(2)", "mounting it"})
      CHECK(verdict_of(findings, name) == Finding::Verdict::good);
  }
  CHECK(mount_table().size() == mounts);
  CHECK(fs::is_empty(chain.store.root() / "mounts"));
}

TEST_CASE("of a chain that can't be mounted it is said why") {
  STRATA_NEEDS_NAMESPACE
  Chain chain;
  SECTION("a tree was changed") {
    const Digest tree = chain.store.get(chain.top).tree();
    put(chain.store.root() / "trees/sha256" / tree.hex() / "fs/0", "longer");
    const auto findings = diagnose_chain(chain.store, chain.top);
    CHECK(verdict_of(findings, "tree of " + chain.top.to_string()) == Finding::Verdict::bad);
    CHECK(verdict_of(findings, "mounting it") == Finding::Verdict::limited);
  }
  SECTION("a tree is gone") {
    fs::remove_all(chain.store.root() / "trees/sha256" / chain.store.get(chain.top).tree().hex());
    const auto findings = diagnose_chain(chain.store, chain.top);
    CHECK(verdict_of(findings, "tree of " + chain.top.to_string()) == Finding::Verdict::bad);
    CHECK(verdict_of(findings, "mounting it") == Finding::Verdict::bad);
  }
  SECTION("a record is gone") {
    const Digest below = chain.top;
    chain.grow(2);
    fs::remove_all(chain.store.root() / "layers/sha256" / below.hex());
    CHECK(verdict_of(diagnose_chain(chain.store, chain.top), "record") == Finding::Verdict::bad);
  }
  SECTION("it has too many layers") {
    chain.grow(501);
    const auto findings = diagnose_chain(chain.store, chain.top);
    CHECK(verdict_of(findings, "layers") == Finding::Verdict::bad);
    CHECK(find(findings, "layers")->value == "501 of 500");
    CHECK(verdict_of(findings, "mounting it") == Finding::Verdict::bad);
  }
}
