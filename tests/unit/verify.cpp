// Each harm is found by each level that can see it, and told as what it is.
#include <strata/verify.hpp>

#include <strata/error.hpp>

#include "support/catch.hpp"
#include "support/codec.hpp"
#include "support/damage.hpp"

using namespace strata;
using namespace strata::test;
using Catch::Contains;

namespace {

std::string sorted_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    lines.push_back(text.substr(at, text.find('\n', at) + 1 - at));
  std::ranges::sort(lines);
  std::string all;
  for (const std::string& line : lines) all += line;
  return all;
}

}  // namespace

TEST_CASE("a layer that is whole is so for every level") {
  const RichStore f;
  for (const VerifyLevel level : {VerifyLevel::quick, VerifyLevel::full, VerifyLevel::proving})
    CHECK(f.verified(level) == "");
}

TEST_CASE("each harm is found by the levels that can see it, and by no other") {
  const bool gives_owners = may_give_owners();
  for (const Harm& harm : harms(RichStore().opaque_mark())) {
    if (harm.needs_root && !gives_owners) continue;
    INFO(harm.name);
    const RichStore f;
    f.harm(harm);
    CHECK(f.verified(VerifyLevel::quick) == harm.quick);
    CHECK(f.verified(VerifyLevel::full) == sorted_lines(harm.quick + harm.full));
    CHECK(f.verified(VerifyLevel::proving) == sorted_lines(harm.quick + harm.full));
  }
}

TEST_CASE("a time that changed is found, of files, symlinks and directories") {
  for (const char* name : {"big", "l", "d", ""}) {
    const RichStore f;
    const timespec times[2] = {{1001, 0}, {1001, 0}};
    must(::utimensat(AT_FDCWD, (f.root() / name).c_str(), times, AT_SYMLINK_NOFOLLOW), "set a time");
    CHECK(f.verified(VerifyLevel::quick) == std::string(name) + " time\n");
  }
}

TEST_CASE("what is in the holes of a file is looked at too") {
  const std::string map = "2\n4096\n4\n1048576\n4\n";
  const std::string tar = TarBuilder()
                              .pax({{"GNU.sparse.major", "1"},
                                    {"GNU.sparse.minor", "0"},
                                    {"GNU.sparse.name", "s"},
                                    {"GNU.sparse.realsize", "2097152"}})
                              .add(file("GNUSparseFile.0/s", map + std::string(512 - map.size(), '\0') + "headtail"))
                              .end()
                              .bytes;
  const auto told_after = [&](off_t offset) {
    const ScratchDirectory scratch;
    LayerStore<> store(scratch.path() / "store", {.durability = Durability::none});
    const ImportedLayer imported = store.import(MemorySource(tar));
    const fs::path root = store.root() / "trees/sha256" / imported.tree().hex() / "fs";
    const Times times(root);
    if (offset >= 0) write_at(root / "s", offset, "x");
    times.give_back();
    CHECK(store.verify(imported.id, {.level = VerifyLevel::quick}).ok());
    const std::string text = told(store.verify(imported.id).damages);
    if (offset >= 0) {
      CHECK(store.repair(imported.id).ok() == false);
      MemorySource source(tar);
      CHECK(store.repair(imported.id, {.source = &source}).ok());
    }
    CHECK(store.verify(imported.id, {.level = VerifyLevel::proving}).ok());
    return text;
  };
  CHECK(told_after(-1) == "");
  for (const off_t offset : {0, 4096, 5000, 1048576 + 4, 2097151}) CHECK(told_after(offset) == "s content\n");
}

TEST_CASE("records of a tree that can't be used are found by every level") {
  const std::vector<std::function<void(const fs::path&)>> ways = {
      [](const fs::path& tree) { fs::resize_file(tree / "recipe", 20); },
      [](const fs::path& tree) { write_at(tree / "recipe", 60, "?!?!"); },
      [](const fs::path& tree) { fs::remove(tree / "recipe"); },
      [](const fs::path& tree) { write_file(tree / "tree.json", "{"); },
      [](const fs::path& tree) { fs::remove(tree / "tree.json"); },
      [](const fs::path& tree) { delete_all(tree / "fs"); },
      [](const fs::path& tree) { delete_all(tree); },
  };
  for (const auto& way : ways) {
    const RichStore f;
    way(f.tree());
    for (const VerifyLevel level : {VerifyLevel::quick, VerifyLevel::full, VerifyLevel::proving})
      CHECK(f.verified(level) == " record\n");
  }
}

TEST_CASE("a recipe that another one replaced is found by proving only") {
  const RichStore f;
  const std::string recipe = content_of(f.tree() / "recipe");
  MemorySource source(recipe);
  MemorySink sink;
  copy(*CompressionPolicy::of<Zstd>().decode(source), sink);
  std::string plain = sink.take();
  REQUIRE(plain.find("ustar") > 257);
  const std::size_t header = plain.find("ustar") - 257;
  plain[header + 265] = 'x';  // the name of the user, which nothing in the tree shows
  plain.replace(header + 148, 8, 8, ' ');
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < 512; ++i) sum += static_cast<unsigned char>(plain[header + i]);
  plain.replace(header + 148, 7, octal(sum, 6) + '\0');
  fs::ofstream(f.tree() / "recipe", std::ios::binary) << encode(CompressionPolicy::of<Zstd>(), plain);
  CHECK(f.verified(VerifyLevel::quick) == "");
  CHECK(f.verified(VerifyLevel::full) == "");
  CHECK(f.verified(VerifyLevel::proving) == " record\n");
}

TEST_CASE("a damaged record of the layer is an error that says so") {
  const RichStore f;
  write_file(f.store.root() / "layers/sha256" / f.rich.id.hex() / "metadata.json", "{");
  CHECK_THROWS_AS(f.store.verify(f.rich.id), Error);
}

TEST_CASE("verifying can be watched and stopped") {
  const RichStore f;
  std::uint64_t bytes = 0, total = 0;
  bool fell = false;
  VerifyOptions options{.level = VerifyLevel::proving};
  options.control.observer = [&](const Progress& progress) {
    fell = fell || progress.bytes < bytes;
    bytes = progress.bytes;
    total = progress.total_bytes;
  };
  CHECK(f.store.verify(f.rich.id, options).ok());
  CHECK(bytes == total);
  CHECK_FALSE(fell);
  CHECK(total > f.tar.size());
  std::stop_source stop;
  stop.request_stop();
  options.control.stop = stop.get_token();
  try {
    (void)f.store.verify(f.rich.id, options);
    FAIL("it went on");
  } catch (const Error& error) {
    CHECK(error.code() == errc::cancelled);
  }
}

TEST_CASE("a directory that a layer describes twice is as the later entry says") {
  const std::string tar = TarBuilder()
                              .pax({{"SCHILY.xattr.user.note", "x"}})
                              .add({.path = "a/", .type = '5', .mode = "0000711"})
                              .add({.path = "a/", .type = '5', .mode = "0000755"})
                              .end()
                              .bytes;
  const ScratchDirectory scratch;
  LayerStore<> store(scratch.path() / "store", {.durability = Durability::none});
  const Digest id = store.import(MemorySource(tar), {.owners = Owners::squash}).id;
  CHECK(store.verify(id, {.level = VerifyLevel::proving}).ok());
}
