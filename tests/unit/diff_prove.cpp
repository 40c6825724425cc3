#include <strata/diff_writer.hpp>
#include <strata/error.hpp>
#include <strata/tar.hpp>

#include "support/catch.hpp"
#include "support/layer_entries.hpp"
#include "support/random_changes.hpp"
#include "support/tree_changes.hpp"

#include <boost/filesystem/operations.hpp>

#include <functional>

using namespace strata;
using namespace strata::test;

namespace {

using Writer = DiffWriter<Sha256, Uncompressed>;

struct Entry {
  TarEntry header;
  std::string content;
};
using Entries = std::vector<Entry>;

Entries read(const std::string& tar) {
  Entries entries;
  MemorySource source(tar);
  TarReader reader(source);
  while (const TarEntry* entry = reader.next()) {
    entries.push_back({*entry, {}});
    for (auto part = reader.content(); !part.empty(); part = reader.content())
      entries.back().content.append(reinterpret_cast<const char*>(part.data()), part.size());
  }
  return entries;
}

std::string written(const Entries& entries) {
  MemorySink sink;
  TarWriter writer(sink);
  for (const auto& [header, content] : entries) {
    writer.add(header);
    writer.content(std::as_bytes(std::span(content.data(), content.size())));
  }
  writer.finish();
  return sink.take();
}

Entry& at(Entries& entries, const std::string& path) {
  for (Entry& entry : entries)
    if (entry.header.path == path) return entry;
  throw std::runtime_error("the layer has no " + path);
}

/// Two trees that differ in everything that a layer carries.
struct Trees {
  ScratchDirectory scratch;
  boost::filesystem::path older = scratch.directory("older"), newer = scratch.path() / "newer",
                          place = scratch.directory("place");
  std::string tar;

  Trees() {
    run_script("cd '" + older.native() + "'\nmkdir d kept; echo 1 > d/gone; echo 2 > d/f; echo 3 > one; ln one two\n" +
               "echo 4 > kept/g; mkfifo kept/p");
    run_script("cp -a '" + older.native() + "' '" + newer.native() + "'");
    run_script(
        "cd '" + newer.native() + "'\nrm d/gone; echo 22 > d/f; chmod 600 d/f; touch -d @5.000000007 d/f\n" +
        "setfattr -n user.note -v x d/f; ln -s target l; echo 5 > a; ln a b; ln one three; mkdir n; chmod 711 n");
    MemorySink sink;
    Writer().write_trees(older, newer, sink);
    tar = sink.take();
  }
  void prove(const std::string& layer) const {
    MemorySource source(layer);
    Writer().prove_trees(older, newer, source, place);
  }
};

}  // namespace

TEST_CASE("a layer between two trees is proved, and leaves nothing behind", "[diff]") {
  const Trees trees;
  const auto reset_time = [&] { run_script("touch -d @1 '" + trees.place.native() + "'"); };
  reset_time();
  const std::string before = short_tree(trees.scratch.path().native());
  CHECK_NOTHROW(trees.prove(trees.tar));
  reset_time();  // something was in it for a while
  CHECK(short_tree(trees.scratch.path().native()) == before);
}

TEST_CASE("a layer that says anything else than what changed isn't proved", "[diff]") {
  const Trees trees;
  const auto drop = [](const char* path) {
    return [path](Entries& entries) {
      std::erase_if(entries, [path](const Entry& entry) { return entry.header.path == path; });
    };
  };
  struct Wrong {
    const char* what;
    const char* path;
    std::function<void(Entries&)> make;
  };
  const std::vector<Wrong> cases = {
      {"isn't there", "l", drop("l")},
      {"should not be there", "d/gone", drop("d/.wh.gone")},
      {"should not be there", "more",
       [](Entries& entries) {
         entries.push_back({at(entries, "l").header, {}});
         entries.back().header.path = "more";
       }},
      {"mode", "d/f", [](Entries& entries) { at(entries, "d/f").header.mode = 0644; }},
      {"mode", "n", [](Entries& entries) { at(entries, "n/").header.mode = 0710; }},
      {"time", "d/f", [](Entries& entries) { at(entries, "d/f").header.mtime.nanoseconds = 6; }},
      {"time", "d", [](Entries& entries) { at(entries, "d/").header.mtime.seconds -= 1; }},
      {"time", "./", [](Entries& entries) { at(entries, "./").header.mtime.seconds -= 1; }},
      {"size", "d/f",
       [](Entries& entries) {
         Entry& file = at(entries, "d/f");
         file.content += '\n';
         file.header.size = file.header.stored_size = file.content.size();
       }},
      {"other bytes", "d/f", [](Entries& entries) { at(entries, "d/f").content = "23\n"; }},
      {"lacks the attribute 'user.note'", "d/f", [](Entries& entries) { at(entries, "d/f").header.xattrs.clear(); }},
      {"attribute 'user.note' has another value", "d/f",
       [](Entries& entries) { at(entries, "d/f").header.xattrs["user.note"] = "y"; }},
      {"has an attribute 'user.more'", "n",
       [](Entries& entries) { at(entries, "n/").header.xattrs["user.more"] = ""; }},
      {"leads elsewhere", "l", [](Entries& entries) { at(entries, "l").header.link = "tarGet"; }},
      {"mode", "l",
       [](Entries& entries) {
         at(entries, "l").header.type = TarType::fifo;
         at(entries, "l").header.link.clear();
       }},
      {"one file with", "b",
       [](Entries& entries) {
         Entry& link = at(entries, "b");
         link = {at(entries, "a").header, at(entries, "a").content};
         link.header.path = "b";
       }},
      {"one file with", "three",
       [](Entries& entries) {
         Entry& link = at(entries, "three");
         link = {at(entries, "one").header, at(entries, "one").content};
         link.header.path = "three";
       }},
  };
  CHECK_NOTHROW(trees.prove(written(read(trees.tar))));
  for (const Wrong& wrong : cases) {
    INFO(wrong.path << ": " << wrong.what);
    Entries entries = read(trees.tar);
    wrong.make(entries);
    try {
      trees.prove(written(entries));
      FAIL_CHECK("proved");
    } catch (const Error& error) {
      CHECK(error.code() == errc::damaged);
      CHECK(error.subject() == quoted(wrong.path));
      CHECK_THAT(error.what(), Catch::Contains(wrong.what));
    }
  }
  CHECK(boost::filesystem::is_empty(trees.place));
}

TEST_CASE("layers between random trees are proved", "[diff]") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const ScratchDirectory scratch;
    const auto older = scratch.directory("older"), place = scratch.directory("place");
    const auto newer = scratch.path() / "newer";
    RandomChanges(older, 500 + seed).make(80);
    run_script("cp -a '" + older.native() + "' '" + newer.native() + "'");
    RandomChanges(newer, 1500 + seed).make(40);
    const DiffOptions options{.latest_time = seed % 2 == 0 ? std::optional<std::int64_t>(1000000000) : std::nullopt};
    MemorySink sink;
    Writer().write_trees(older, newer, sink, options);
    MemorySource source(sink.text());
    CHECK_NOTHROW(Writer().prove_trees(older, newer, source, place, options));
  }
}

TEST_CASE("layers of random uppers are proved, of a container and of directories", "[diff]") {
  const ScratchDirectory probe;
  if (!can_mount_overlay(probe.path())) return;
  const std::string options =
      GENERATE(as<std::string>(), "redirect_dir=off,metacopy=off,index=off", "redirect_dir=on,metacopy=on,index=off",
               "redirect_dir=on,metacopy=off,index=on");
  CAPTURE(options);
  for (unsigned seed = 0; seed < 5; ++seed) {
    CAPTURE(seed);
    const ScratchDirectory scratch;
    const auto base = scratch.directory("base"), place = scratch.directory("place");
    RandomChanges(base, 3000 + seed).make(60);
    MemorySink whole;
    Writer().write_upper(base, {}, whole);
    MemorySource source(whole.text());
    CHECK_NOTHROW(Writer().prove_upper(base, {}, source, place));

    LayerStore<> store{scratch.path() / "store", {.durability = Durability::none}};
    Container container;
    container.layer = store.import(MemorySource(whole.text())).id;
    container.directory = scratch.directory("container");
    const auto lowers = store.lowers(store.get(container.layer));
    const auto upper = scratch.directory("container/upper");
    run_script("chmod --reference='" + base.native() + "' '" + upper.native() + "'");
    in_overlay({lowers, upper, scratch.directory("container/work"), options}, scratch.directory("merged"),
               [&](const auto& root) {
                 RandomChanges(root, 4000 + seed).make(40);
                 return std::string();
               });
    MemorySink sink;
    Writer().write(store, container, sink);
    MemorySource layer(sink.text());
    CHECK_NOTHROW(Writer().prove(store, container, layer));
    const std::string wrong = written({});
    MemorySource none(wrong);
    CHECK_THROWS_WITH(Writer().prove(store, container, none), Catch::Contains("cannot prove the layer at"));
    if (options.find("index=on") != std::string::npos) continue;  // write_upper doesn't know the index
    MemorySink sink_of_upper;
    Writer().write_upper(upper, lowers, sink_of_upper);
    MemorySource layer_of_upper(sink_of_upper.text());
    CHECK_NOTHROW(Writer().prove_upper(upper, lowers, layer_of_upper, place));
  }
}
