#include <strata/diff_writer.hpp>
#include <strata/error.hpp>

#include "support/apply_layer.hpp"
#include "support/catch.hpp"
#include "support/random_changes.hpp"
#include "support/tree_changes.hpp"
#include "support/tree_text.hpp"

#include <boost/filesystem/fstream.hpp>

using namespace strata;
using namespace strata::test;
using strata::detail::MergedView;
using Paths = std::vector<boost::filesystem::path>;

namespace {

/// A layer tar in memory.
class TarSink final : public detail::ChangeSink {
 public:
  void add(const TarEntry& entry) override { writer_.add(entry); }
  void content(std::span<const std::byte> bytes) override { writer_.content(bytes); }
  void zeros(std::uint64_t size) override {
    const std::vector<std::byte> none(size);
    writer_.content(none);
  }
  std::string take() {
    writer_.finish();
    return sink_.take();
  }

 private:
  MemorySink sink_;
  TarWriter writer_{sink_};
};

std::string written(const boost::filesystem::path& upper, const boost::filesystem::path& work, const Paths& lowers) {
  Paths stack{upper};
  stack.insert(stack.end(), lowers.begin(), lowers.end());
  const MergedView view(stack);
  detail::ChangeOptions options;
  options.index = detail::index_of(work);
  Report report;
  TarSink sink;
  changes_of_upper(view, view.below(), sink, options, report);
  return sink.take();
}

/// Runs random changes on top of `lowers`, writes them as a layer, and applies it to a copy of what was there before.
void round_trip(const ScratchDirectory& scratch, const std::string& name, const Paths& lowers, unsigned seed,
                const std::string& options) {
  const auto upper = scratch.directory("upper" + name), work = scratch.directory("work" + name),
             flat = scratch.directory("flat" + name), merged = scratch.directory("merged");
  const PrivateOverlay below{lowers, {}, {}, options};
  const PrivateOverlay whole{lowers, upper, work, options};
  Paths padded = lowers;
  padded.push_back(scratch.directory("nothing"));
  in_overlay({padded, {}, {}, options}, merged, [&](const auto& root) {
    run_script("cp -a '" + root.native() + "/.' '" + flat.native() + "'");
    return std::string();
  });
  in_overlay(whole, merged, [&](const auto& root) {
    RandomChanges(root, seed).make(40);
    return std::string();
  });
  // Mounted again: right after a copy-up, names of one file may show two inode numbers (seen with userxattr).
  const std::string expected = in_overlay(whole, merged, [](const auto& root) { return tree_text(root); });
  const std::string tar = written(upper, work, lowers);
  CHECK(tar == written(upper, work, lowers));
  PlainApply(tar, flat).run();
  REQUIRE(difference(expected, tree_text(flat)) == "");
}

}  // namespace

TEST_CASE("an untouched upper tells nothing", "[diff]") {
  UpperChange change("mkdir -p a/b; echo 1 > a/b/file");
  if (!change.possible()) return;
  change.change("true");
  CHECK(change.tell() == "");
}

TEST_CASE("what was copied up but is identical is told without being read", "[diff]") {
  UpperChange change(
      "mkdir -p a/b c; echo 1 > a/b/file; echo 2 > c/changed; touch -d '2020-01-01 00:00:00.123456789' a/b/file");
  if (!change.possible()) return;
  change.change("exec 3>> a/b/file; exec 3>&-; chmod 700 c; chmod 755 c");
  REQUIRE(boost::filesystem::exists(change.upper / "a/b/file"));
  REQUIRE(boost::filesystem::exists(change.upper / "c"));
  CHECK(change.tell() == "");
  CHECK(change.told.read == 0);
}

TEST_CASE("a file that index=on keeps without a name in the upper is found in the index", "[diff]") {
  UpperChange change("mkdir d e; echo 1 > d/a; ln d/a e/b; ln d/a e/c");
  if (!change.possible() || !may_redirect()) return;
  change.options = "redirect_dir=off,metacopy=off,index=on";
  change.change("echo 2 >> d/a; rm d/a");
  detail::ChangeOptions options;
  options.index = detail::index_of(change.work);
  REQUIRE(options.index);
  CHECK(change.tell(options) == "d/\nd/.wh.a\ne/\ne/b\ne/c = e/b\n");
  CHECK(change.told.read == 4);
}

TEST_CASE("holes are told without being read", "[diff]") {
  UpperChange change("true");
  boost::filesystem::ofstream(change.upper / "f") << "begin";
  boost::filesystem::resize_file(change.upper / "f", 64 << 20);
  change.tell();
  CHECK(change.told.read + change.told.holes == 64 << 20);
  CHECK(change.told.read < 1 << 20);
}

TEST_CASE("the root is compared with the attributes that the caller names", "[diff]") {
  UpperChange change("true");
  REQUIRE(::chmod(change.upper.c_str(), 0755) == 0);
  REQUIRE(::chmod(change.base.c_str(), 0755) == 0);
  detail::ChangeOptions options;
  options.lower_root.emplace();
  options.lower_root->metadata = detail::stat_of(detail::open_directory(change.base).get());
  SECTION("equal") { CHECK(change.tell(options) == ""); }
  SECTION("another time") {
    options.lower_root->metadata.mtime = {1, 0};
    CHECK(change.tell(options) == "./\n");
  }
  SECTION("any time") {
    options.lower_root->metadata.mtime = {1, 0};
    options.lower_root->any_time = true;
    CHECK(change.tell(options) == "");
  }
  SECTION("another mode") {
    options.lower_root->metadata.mode = S_IFDIR | 0700;
    CHECK(change.tell(options) == "./\n");
  }
}

TEST_CASE("an upper without lowers is told whole, its root first", "[diff]") {
  const ScratchDirectory scratch;
  boost::filesystem::create_directories(scratch.path() / "u" / "d");
  const MergedView view({scratch.path() / "u"});
  ChangeList told;
  Report report;
  changes_of_upper(view, view.below(), told, {}, report);
  CHECK(told.text == "./\nd/\n");
}

TEST_CASE("a stop token ends a diff", "[diff]") {
  UpperChange change("true");
  boost::filesystem::create_directory(change.upper / "d");
  std::stop_source stop;
  stop.request_stop();
  detail::ChangeOptions options;
  options.control.stop = stop.get_token();
  try {
    change.tell(options);
    FAIL("told");
  } catch (const Error& error) {
    CHECK(error.code() == errc::cancelled);
  }
}

TEST_CASE("a layer from a random upper makes the merged view of what was below", "[diff]") {
  const ScratchDirectory scratch;
  if (!can_mount_overlay(scratch.path())) return;
  const std::string options =
      GENERATE(as<std::string>(), "redirect_dir=off,metacopy=off,index=off", "redirect_dir=on,metacopy=on,index=off",
               "redirect_dir=on,metacopy=off,index=on");
  CAPTURE(options);
  for (unsigned seed = 0; seed < 5; ++seed) {
    CAPTURE(seed);
    const std::string name = std::to_string(seed);
    const auto base = scratch.directory("base" + name), middle = scratch.directory("middle" + name);
    RandomChanges(base, seed).make(60);
    in_overlay({{base}, middle, scratch.directory("work-middle" + name), options}, scratch.directory("merged"),
               [&](const auto& root) {
                 RandomChanges(root, 1000 + seed).make(40);
                 return std::string();
               });
    // A lower that was indexed shows files that only its work directory knows.
    const bool indexed = options.find("index=on") != std::string::npos;
    round_trip(scratch, name, indexed ? Paths{base} : Paths{middle, base}, 2000 + seed, options);
  }
}
