// The records of layers and trees; those of containers have a file of their own.
#include <strata/error.hpp>
#include <strata/layer.hpp>

#include "base/files.hpp"
#include "base/record.hpp"
#include "store/tree_record.hpp"
#include "support/catch.hpp"
#include "support/scratch.hpp"
#include "tree/directory.hpp"

#include <functional>

using namespace strata;
using namespace strata::detail;
using Catch::Contains;

namespace {

Digest digest(char digit) { return Digest::parse("sha256:" + std::string(64, digit)); }

Layer sample() {
  Layer layer;
  layer.id = digest('1');
  layer.parent = digest('2');
  layer.diff_ids = {digest('2'), digest('3')};
  layer.size = 5;
  layer.tar_size = 2048;
  layer.entries = 3;
  layer.created = "2024-05-06T07:08:09Z";
  layer.author = "somebody";
  layer.comment = "a \"layer\"";
  layer.media_type = "application/vnd.oci.image.layer.v1.tar";
  layer.blob = digest('4');
  layer.blob_size = 100;
  layer.trees = {digest('2'), digest('5')};
  layer.root_tree = 1;
  return layer;
}

/// What is said of a record that is damaged; nothing, where it isn't.
std::string damage(const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& error) {
    CHECK(error.code() == errc::damaged);
    return error.what();
  }
  return {};
}

/// What is said of a record with another value of that member.
template <class Parse>
std::string with(const std::string& good, const std::string& member, const std::string& value, Parse parse) {
  auto json = nlohmann::ordered_json::parse(good);
  json[member] = nlohmann::ordered_json::parse(value);
  return damage([&] { parse(json.dump()); });
}

}  // namespace

TEST_CASE("a layer's record with a member that can't be meant is damaged, and says which") {
  const std::string good = to_json(sample());
  const auto said = [&](const char* member, const char* value) { return with(good, member, value, layer_from_json); };
  CHECK(said("comment", "\"another\"").empty());
  CHECK_THAT(said("id", "\"sha256:12\""), Contains("member 'id'") && Contains("64 hexadecimal digits"));
  CHECK_THAT(said("id", "7"), Contains("member 'id'"));
  CHECK_THAT(said("parent", "null"), Contains("member 'parent'"));
  CHECK_THAT(said("blob", "\"\""), Contains("member 'blob'"));
  CHECK_THAT(said("diff_ids", "[\"sha256:2\"]"), Contains("member 'diff_ids'"));
  CHECK_THAT(said("diff_ids", "{}"), Contains("member 'diff_ids'"));
  CHECK_THAT(said("trees", "[1, 2]"), Contains("member 'trees'"));
  CHECK_THAT(said("created", "1"), Contains("member 'created'"));
  for (const char* number : {"-1", "1.5", "1.0", "1e300", "true", "\"1\"", "18446744073709551616", "[]"}) {
    CAPTURE(number);
    CHECK_THAT(said("size", number), Contains("member 'size'"));
    if (std::string(number) != "-1") CHECK_THAT(said("root_tree", number), Contains("member 'root_tree'"));
  }
  CHECK(said("size", "18446744073709551615").empty());
  CHECK_THAT(said("root_tree", "18446744073709551615"), Contains("member 'root_tree'"));
}

TEST_CASE("the top of the root's attributes is one of the chain's trees") {
  const std::string good = to_json(sample());
  const auto said = [&](const char* value) { return with(good, "root_tree", value, layer_from_json); };
  for (const char* right : {"-1", "0", "1"}) CHECK(said(right).empty());
  for (const char* wrong : {"-2", "2", "4294967296", "-4294967296"}) CHECK_THAT(said(wrong), Contains("don't match"));
}

TEST_CASE("a tree's record with a member that can't be meant is damaged, and says which") {
  const TreeRecord record{digest('1'), 5, 2048, 3, true, false, true};
  const std::string good = to_json(record);
  CHECK(to_json(tree_record_from_json(good)) == good);
  const auto said = [&](const char* member, const char* value) {
    return with(good, member, value, tree_record_from_json);
  };
  CHECK_THAT(said("diff_id", "\"md5\""), Contains("member 'diff_id'"));
  CHECK_THAT(said("entries", "-1"), Contains("member 'entries'"));
  CHECK_THAT(said("as_listed", "1"), Contains("member 'as_listed'"));
}

TEST_CASE("a record that is no JSON is damaged, and the message is one line of plain text") {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("\x1b[31m"), std::string("{\"a\n\": 1}"),
        std::string("{\"\xff\": 1}"), std::string("7"), std::string(1 << 20, '['), std::string(100, '\0')}) {
    const std::string said = damage([&] { (void)layer_from_json(text); });
    CHECK_THAT(said, Contains("a layer") && Contains("it is no JSON"));
    for (const char c : said) CHECK((c >= 0x20 && c < 0x7f));
  }
  CHECK_THAT(damage([] { (void)layer_from_json("{\"id\": 1e999}"); }), Contains("too large"));
}

TEST_CASE("what a record holds deep inside is no danger") {
  const std::string deep = std::string(1 << 20, '[') + std::string(1 << 20, ']');
  CHECK_THAT(damage([&] { (void)layer_from_json("{\"id\": " + deep + "}"); }), Contains("member 'id'"));
}

TEST_CASE("a layer's record leaves out trees that are its diff ids, and is read with them too") {
  Layer layer = sample();
  CHECK(layer_from_json(to_json(layer)).trees == layer.trees);
  layer.trees = layer.diff_ids;
  auto json = nlohmann::json::parse(to_json(layer));
  CHECK_FALSE(json.contains("trees"));
  CHECK(layer_from_json(json.dump()).trees == layer.diff_ids);
  json["trees"] = json["diff_ids"];
  CHECK(layer_from_json(json.dump()).trees == layer.diff_ids);
}

TEST_CASE("a note is read back, whether a symlink could hold it or not") {
  const test::ScratchDirectory scratch;
  const FileDescriptor dir = open_directory(scratch.path());
  for (const std::string& text : {std::string("short"), std::string(5000, 'x'), std::string()}) {
    CAPTURE(text.size());
    write_note(dir.get(), "note", text);
    CHECK(try_stat(dir.get(), "note")->is_symlink() == (text == "short"));
    CHECK(read_note(dir.get(), "note") == text);
    CHECK_NOTHROW(sync_note(dir.get(), "note"));
    CHECK_THROWS_AS(write_note(dir.get(), "note", "another"), Error);
    boost::filesystem::remove(scratch.path() / "note");
  }
  CHECK(read_note(dir.get(), "note") == std::nullopt);
}
